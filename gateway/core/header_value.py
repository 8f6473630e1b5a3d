"""Sanitises text for response headers, so that it cannot corrupt the head of the response."""

from __future__ import annotations

LONGEST = 2000


def is_safe(text: str) -> bool:
    """Printable ASCII of a sane length."""
    return text.isascii() and text.isprintable() and len(text) <= LONGEST


def safe(text: str) -> str:
    """The text, with question marks for anything but printable ASCII, truncated to LONGEST characters.

    Notes quote backends and configurations, which may contain line feeds, control and non-ASCII characters.
    """
    if is_safe(text):
        return text
    shown = "".join(char if " " <= char <= "~" else "?" for char in text[:LONGEST])
    return shown if len(text) <= LONGEST else f"{shown[: LONGEST - 3]}..."
