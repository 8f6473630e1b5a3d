"""Short replies that approve or continue: "yes, go on", "ja, mach das", and the like in the main languages."""

from __future__ import annotations

import re

from router_model.features.phrases import replies

# Longer replies say something of their own.
_MOST_CHARACTERS = 48
_MOST_WORDS = 7
# For scripts without spaces.
_MOST_UNSPACED = 10
# Of a proposal these last characters are searched for an offer, and for a list to choose from.
_END = 400
_LIST = 2_000
_QUESTIONS = ("?", "\uff1f", "\u061f")
_PUNCTUATION = ".,;:!\u2026\"'()\u0964\u060c*_-\u2013\u2014"
# An answer to a question by number or letter ("2", "b)", "option 2").
_CHOICE = re.compile(r"(?:option|no|nr|number|nummer|variante|plan|#)?\W{0,2}(?:\d{1,2}|[a-h])\W{0,2}", re.IGNORECASE)
_LISTED = re.compile(r"^[ \t]{0,8}(?:[-*]|\w[.)])\s", re.MULTILINE)


def approves(reply: str, proposal: str) -> bool:
    """Whether a reply only approves, continues or chooses what `proposal`, the message before it, offers.

    "ok thanks" after an answer that offers nothing approves nothing.
    """
    reply = reply.strip()
    if not proposal or not reply or len(reply) > _MOST_CHARACTERS or "\n" in reply or reply.endswith(_QUESTIONS):
        return False
    if _CHOICE.fullmatch(reply):
        return _offers(proposal)
    known = replies()
    if reply.startswith(known.starts):
        return len(reply) <= _MOST_UNSPACED and (not reply.startswith(known.mild_starts) or _offers(proposal))
    return reply in known.signs or _by_words(reply.lower(), proposal)


def _by_words(reply: str, proposal: str) -> bool:
    known = replies()
    words = [word for part in reply.replace(",", " ").split() if (word := part.strip(_PUNCTUATION))]
    if not words or len(words) > _MOST_WORDS or known.yes.isdisjoint(words[:3]):
        return False
    if known.mild.issuperset(word for word in words if word not in known.with_yes) and not _offers(proposal):
        return False
    # One word that is not listed ("yes, refactor it") may be the object.
    return sum(word not in known.yes and word not in known.with_yes for word in words) <= (words[0] in known.yes)


def _offers(proposal: str) -> bool:
    end = proposal[-_END:].lower()
    if any(mark in end for mark in _QUESTIONS) or any(offer in end for offer in replies().offers):
        return True
    return _LISTED.search(proposal[-_LIST:]) is not None
