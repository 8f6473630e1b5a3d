"""Log-probabilities of the text's tokens in the format of this dialect; those of reasoning are left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def logprobs_of(text: str, logprobs: Any) -> list[dict[str, Any]]:
    """The log-probabilities (nats) of the tokens of `text`, the end of the output that the choice's `logprobs` cover.

    Empty if there are none, or if they do not match the text.
    """
    entries = logprobs.get("content") if isinstance(logprobs, Mapping) else None
    if not isinstance(entries, list) or not text:
        return []
    tokens = [entry for entry in map(_entry, entries) if entry is not None]
    pieces = [bytes(token["bytes"]) for token in tokens]
    whole = text.encode("utf-8", "surrogatepass")
    # The last occurrence, searched in the reversed text: `rfind` can take quadratic time.
    spelled = b"".join(pieces)
    behind = spelled[::-1].find(whole[::-1])
    if behind < 0:
        return []
    begin = len(spelled) - behind - len(whole)
    end, place, found = begin + len(whole), 0, []
    for token, piece in zip(tokens, pieces, strict=True):
        if place < end and place + len(piece) > begin:
            found.append(token)
        place += len(piece)
    return found


def _entry(entry: Any) -> dict[str, Any] | None:
    """One token with its alternatives; None if it is invalid."""
    one = _token(entry)
    if one is None:
        return None
    top = entry.get("top_logprobs")
    others = [_token(other) for other in top] if isinstance(top, list) else []
    return {**one, "top_logprobs": [other for other in others if other is not None]}


def _token(entry: Any) -> dict[str, Any] | None:
    if not isinstance(entry, Mapping):
        return None
    token, logprob, spelled = entry.get("token"), entry.get("logprob"), entry.get("bytes")
    if not isinstance(token, str) or type(logprob) not in (int, float):
        return None
    if not isinstance(spelled, list) or not all(type(one) is int and 0 <= one < 256 for one in spelled):
        spelled = list(token.encode("utf-8", "surrogatepass"))
    return {"token": token, "bytes": spelled, "logprob": logprob}
