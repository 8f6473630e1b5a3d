"""Text that goes into a response header: whatever it is made of, it cannot break the head of the response."""

from __future__ import annotations

LONGEST = 2000


def is_safe(text: str) -> bool:
    """Printable ASCII of a sane length."""
    return text.isascii() and text.isprintable() and len(text) <= LONGEST


def safe(text: str) -> str:
    """The same text, if it is printable ASCII of a sane length; else with question marks, and an end, where it is not.

    Notes quote backends and configurations, which may hold line feeds, controls and letters of any alphabet.
    """
    if is_safe(text):
        return text
    shown = "".join(char if " " <= char <= "~" else "?" for char in text[:LONGEST])
    return shown if len(text) <= LONGEST else f"{shown[: LONGEST - 3]}..."
