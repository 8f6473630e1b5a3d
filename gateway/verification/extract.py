"""Finds the part of an answer that is compared: all of it, its last line, what is `\boxed`, or a field of its JSON."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import orjson
from pydantic import Field

from gateway.verification.protocol import VerifierSettings

_BOX = "\\boxed{"


class ExtractingSettings(VerifierSettings):
    """A verifier that compares a part of the answer."""

    compare: Literal["whole", "last_line", "boxed"] = "whole"
    """`whole`: all of the text; `last_line`: its last line that is not empty; `boxed`: the last \\boxed{...} in it."""
    field: Annotated[str, Field(pattern=r"^[^.]+(\.[^.]+)*$")] | None = None
    """The answer is a JSON object, and this field of it is compared; `a.b` is the field b of the object a."""

    def extract(self, text: str) -> Any:
        """The text of the part, or the JSON value of the field; None: the answer has no such part."""
        if self.field is not None:
            return _inside(parsed(text), self.field)
        return _PARTS[self.compare](text)


def parsed(text: str) -> Any:
    """The JSON value of a text, which may stand in a fenced block; None: it is none."""
    try:
        return orjson.loads(fenced(text))
    except orjson.JSONDecodeError:
        return None


def fenced(text: str) -> str:
    """What is inside a fenced block, if the text is nothing but one."""
    text = text.strip()
    if len(text) > 6 and text.startswith("```") and text.endswith("```") and "\n" in text:
        return text[text.index("\n") + 1 : -3].strip()
    return text


def boxed(text: str) -> str | None:
    """What is in the last `\\boxed{...}`, whose braces may be nested."""
    begin = text.rfind(_BOX)
    if begin < 0:
        return None
    begin += len(_BOX)
    depth = 1
    for at in range(begin, len(text)):
        depth += (text[at] == "{") - (text[at] == "}")
        if not depth:
            return text[begin:at]
    return None


def _last_line(text: str) -> str:
    lines = text.split("\n")
    return next((line for line in reversed(lines) if line.strip()), "")


def _inside(value: Any, path: str) -> Any:
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


_PARTS = {"whole": lambda text: text, "last_line": _last_line, "boxed": boxed}
