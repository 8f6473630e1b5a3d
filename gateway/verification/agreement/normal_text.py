"""Texts without what does not change their meaning: case, white space, emphasis, quotation marks, a final full stop."""

from __future__ import annotations

import re
import unicodedata

_EMPHASIS = re.compile(r"[*_`#]+")
_QUOTES = str.maketrans({"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u00ab": '"', "\u00bb": '"'})
_ENDS = " \t\n\r.!,;:\"'\u3002"


def normal(text: str) -> str:
    text = unicodedata.normalize("NFKC", text).translate(_QUOTES)
    return " ".join(_EMPHASIS.sub("", text).split()).casefold().strip(_ENDS)


def last_line(text: str) -> str:
    """The last line that says something, as where an answer ends with its result."""
    return next((line for line in reversed(text.splitlines()) if normal(line)), "")
