"""Log-probabilities of tokens, in the form of this dialect, and only those of the text: a thought's are nobody's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def logprobs_of(text: str, told: Any) -> list[dict[str, Any]]:
    """Those of the tokens that make up the text, which is the last thing said by a choice with these `logprobs`.

    Empty if there are none, or if they do not match the text.
    """
    entries = told.get("content") if isinstance(told, Mapping) else None
    if not isinstance(entries, list) or not text:
        return []
    tokens = [entry for entry in map(_entry, entries) if entry is not None]
    said = [bytes(token["bytes"]) for token in tokens]
    whole = text.encode("utf-8", "surrogatepass")
    # The last place where it is, looked for backwards: `rfind` takes a time that grows with both lengths.
    spelled = b"".join(said)
    behind = spelled[::-1].find(whole[::-1])
    if behind < 0:
        return []
    begin = len(spelled) - behind - len(whole)
    end, place, found = begin + len(whole), 0, []
    for token, piece in zip(tokens, said, strict=True):
        if place < end and place + len(piece) > begin:
            found.append(token)
        place += len(piece)
    return found


def _entry(told: Any) -> dict[str, Any] | None:
    """One token; None if it is none."""
    one = _token(told)
    if one is None:
        return None
    top = told.get("top_logprobs")
    others = [_token(other) for other in top] if isinstance(top, list) else []
    return {**one, "top_logprobs": [other for other in others if other is not None]}


def _token(told: Any) -> dict[str, Any] | None:
    if not isinstance(told, Mapping):
        return None
    token, logprob, spelled = told.get("token"), told.get("logprob"), told.get("bytes")
    if not isinstance(token, str) or type(logprob) not in (int, float):
        return None
    if not isinstance(spelled, list) or not all(type(one) is int and 0 <= one < 256 for one in spelled):
        spelled = list(token.encode("utf-8", "surrogatepass"))
    return {"token": token, "bytes": spelled, "logprob": logprob}
