"""The files that reports are asked to write: figures as JSON, and a page."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gateway.commands.lines import stored


def put(
    found: dict[str, Any],
    json_file: Path | None,
    html_file: Path | None,
    page: Callable[[dict[str, Any]], str],
    what: str,
) -> None:
    """Write those that were asked for, and print where they are; `what` the page shows."""
    from router_model.data import output_files

    if json_file is not None:
        output_files.put(json_file, json.dumps(found, indent=2))
        stored("All figures", json_file)
    if html_file is not None:
        output_files.put(html_file, page(found))
        stored(f"A page with {what}", html_file)
