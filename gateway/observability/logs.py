"""What the processes log: a line each on the error output, with the time in UTC, the level and who says it."""

from __future__ import annotations

import logging
import time


def begin() -> None:
    """Log in this format, unless whoever has started this process has set up logs already."""
    handler = logging.StreamHandler()
    lines = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
    lines.converter = time.gmtime
    handler.setFormatter(lines)
    logging.basicConfig(handlers=[handler])


def begin_audit() -> None:
    """Log what operators do, too: that is no warning, and belongs in the log of a gateway all the same."""
    logging.getLogger("thinkgate.audit").setLevel(logging.INFO)
