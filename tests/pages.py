"""The README and the pages of `docs/`, in the order in which a reader follows their commands."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
# The pages with blocks to run come first, in this order; the others hold text and tables.
ORDERED = [ROOT / "README.md", DOCS / "clients.md", DOCS / "learning.md", DOCS / "operations.md"]
PAGES = [*ORDERED, *sorted(set(DOCS.glob("*.md")) - set(ORDERED))]


def blocks() -> list[tuple[str, str]]:
    """Language and text of each fenced block, from top to bottom."""
    texts = [page.read_text("utf-8") for page in PAGES]
    return [block for text in texts for block in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)]
