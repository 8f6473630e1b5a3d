"""Features of a request: the terms in it, and a row of structural counts, of what is asked and of what surrounds it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import log1p
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router_model.features.ask import find_ask
from router_model.features.text_counts import ASCII, NOTHING, TEXT_NAMES, read, tokens_of

# Version 2 read the whole last user message; since version 3 what is asked in it is told from what surrounds it.
FEATURES_VERSION, WHOLE_MESSAGE = 3, 2
# Of longer texts only the beginning and the end are read, to bound the time of a decision.
LONGEST = 16_384
# Characters taken from each end before invisible characters are removed, so that enough visible ones are left. Only for
# texts that are mostly invisible does this change the result.
_END = 2 * LONGEST

F32 = NDArray[np.float32]


# Invisible characters are removed, and full-width characters become ordinary ones.
_PLAIN: dict[int, int | None] = {
    **dict.fromkeys(
        (0xAD, 0x34F, 0x61C, 0x180E, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070))
    ),
    **dict.fromkeys((0xFEFF, *range(0xFE00, 0xFE10), *range(0xE0000, 0xE0080), *range(0xE0100, 0xE01F0))),
    **{0xFF01 + i: 0x21 + i for i in range(94)},
    **dict.fromkeys((0xA0, 0x2007, 0x202F, 0x3000), 0x20),
}
_ODD = frozenset(map(chr, _PLAIN))
_REQUEST_NAMES = (
    *("messages", "user turns", "system", "system chars"),
    *("tools", "tool results", "tool calls", "ends with tool", "parts"),
)
# How an ask was found that is not the last user message as it is.
WRAPPED = frozenset({"element", "label", "rest", "approval"})
# The prefixes of terms: what is asked has none, then the rest of the conversation, the system text, the tools.
VIEWS = (b"", b"\x01", b"\x02", b"\x03")
# The first of the dense features are those of what is asked.
TEXT_COUNTS = len(TEXT_NAMES)
DENSE_NAMES = tuple(f"last {n}" for n in TEXT_NAMES) + tuple(f"rest {n}" for n in TEXT_NAMES) + _REQUEST_NAMES


@dataclass(frozen=True, slots=True)
class Features:
    """`dense`: log(1 + count) of each of DENSE_NAMES; `by_view`: the distinct terms of each of VIEWS, which begin with
    the view's prefix; `ask`: the text of the first view.
    """

    dense: list[float]
    by_view: tuple[set[bytes], ...]
    ask: bytes = b""

    @property
    def terms(self) -> set[bytes]:
        """The distinct terms of all views."""
        return set().union(*self.by_view)


def featurize(
    messages: Sequence[Mapping[str, Any]],
    tools: Sequence[Mapping[str, Any]] | None = None,
    question: bytes | None = None,
    version: int = FEATURES_VERSION,
) -> Features:
    """Features of a whole request; `question`, if given, replaces what is asked.

    Never raises on unusual content: parts that are not text are counted or ignored.
    """
    last, rest, system, request = _views(messages, tools or (), version)
    asked = last if question is None else question
    dense, terms = read(asked)
    more, others = read(rest) if rest else (NOTHING, set[bytes]())
    tokens: tuple[Iterable[bytes], ...] = (others, tokens_of(system), tokens_of(_tool_text(tools)) if tools else ())
    views = ({prefix + term for term in found} for prefix, found in zip(VIEWS[1:], tokens, strict=True))
    return Features([*dense, *more, *map(log1p, request)], (terms, *views), asked)


def question_of(messages: Sequence[Mapping[str, Any]], version: int = FEATURES_VERSION) -> bytes:
    """What is asked."""
    return _views(messages, (), version)[0]


def _views(
    messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]], version: int
) -> tuple[bytes, bytes, bytes, list[float]]:
    """What is asked, the rest of the conversation, the system text, and the counts of the request.

    What is asked is the last user message, without what a client put around it: that belongs to the other views.
    """
    ask = None if version == WHOLE_MESSAGE else find_ask(messages)
    messages = without_material(messages)
    roles = [str(message.get("role", "")) for message in messages]
    texts = [text_of(message) for message in messages]
    last = max((i for i, role in enumerate(roles) if role == "user"), default=len(roles) - 1)
    rest = [t for i, t in enumerate(texts) if i != last and roles[i] not in ("system", "developer")]
    system = [t for t, role in zip(texts, roles, strict=True) if role in ("system", "developer")]
    counts: list[float] = [
        len(messages),
        roles.count("user"),
        roles.count("system") + roles.count("developer"),
        sum(map(len, system)) + max(len(system) - 1, 0),  # joined by line feeds
        len(tools),
        roles.count("tool"),
        sum(len(m.get("tool_calls") or ()) for m in messages),
        roles[-1:] == ["tool"],
        sum(len(m["content"]) for m in messages if isinstance(m.get("content"), list)),
    ]
    asked = texts[last] if texts else ""
    if ask is not None and ask.found_by in WRAPPED:
        asked = ask.judged
        rest += filter(None, (ask.material,))
        system += filter(None, (ask.wrapping,))
    return _cut(asked), _cut(_joined(rest)), _cut(_joined(system)), counts


def without_material(messages: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """The conversation without tool calls and results from before its last question.

    The author of a retrieved page must not be able to influence the effort of a later question. Results since the
    question are part of answering it, and are kept.
    """
    if not any(message.get("role") == "tool" for message in messages):
        return messages
    last = max((i for i, message in enumerate(messages) if message.get("role") == "user"), default=0)
    kept = [m for m in messages[:last] if m.get("role") != "tool" and not m.get("tool_calls")]
    return [*kept, *messages[last:]]


def _joined(texts: Sequence[str]) -> str:
    """The texts joined by line feeds, or as much of both ends as `_cut` reads."""
    if sum(map(len, texts)) <= 2 * _END:
        return "\n".join(texts)
    head, tail = _filled(texts), _filled(texts[::-1], last=True)
    return f"{head}\n{tail}"


def _filled(texts: Iterable[str], last: bool = False) -> str:
    """The first (or last) characters of the joined texts, which are given in the order in which they are taken."""
    taken: list[str] = []
    left = _END
    for text in texts:
        taken.append(text[-left:] if last else text[:left])
        left -= len(taken[-1]) + 1
        if left <= 0:
            break
    return "\n".join(reversed(taken) if last else taken)


def _cut(text: str) -> bytes:
    if len(text) > 2 * _END:
        text = text[:_END] + "\n" + text[-_END:]
    if not text.isascii():
        # Searching the non-ASCII characters first is much faster than translating, and few texts have such characters.
        beyond = text.encode("utf-8", "replace").translate(None, ASCII).decode("utf-8", "replace")
        if not _ODD.isdisjoint(beyond):
            text = text.translate(_PLAIN)
    if len(text) > LONGEST:
        text = text[: LONGEST // 2] + "\n" + text[-LONGEST // 2 :]
    return text.encode("utf-8", "replace")


def text_of(message: Mapping[str, Any]) -> str:
    """The text of a message: its content (a string, or the text parts of a list) and its tool calls."""
    content = message.get("content")
    if isinstance(content, str) and not message.get("tool_calls"):
        return content
    parts = [content] if isinstance(content, str) else []
    if isinstance(content, list):
        parts = [str(p.get("text") or "") if isinstance(p, Mapping) else str(p) for p in content]
    for call in message.get("tool_calls") or ():
        function = call.get("function") if isinstance(call, Mapping) else None
        if isinstance(function, Mapping):
            parts.append(f"{function.get('name')} {function.get('arguments')}")
    return "\n".join(parts)


def _tool_text(tools: Sequence[Mapping[str, Any]]) -> bytes:
    functions = [tool.get("function", tool) for tool in tools if isinstance(tool, Mapping)]
    names = [[_ends(f.get("name")), _ends(f.get("description"))] for f in functions if isinstance(f, Mapping)]
    return _cut(_joined([json.dumps(one) for one in names]))


def _ends(value: Any) -> Any:
    """Both ends of a long text; other values unchanged."""
    return value[:_END] + value[-_END:] if isinstance(value, str) and len(value) > 2 * _END else value


def vocabulary(all_terms: Iterable[set[bytes]], least_uses: int) -> list[bytes]:
    """The terms that at least `least_uses` requests contain, sorted."""
    uses = Counter(term for terms in all_terms for term in terms)
    return sorted(term for term, n in uses.items() if n >= least_uses)
