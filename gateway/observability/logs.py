"""Logging to standard error: UTC time, level, logger and message."""

from __future__ import annotations

import logging
import time


def begin() -> None:
    """Log in this format, unless logging is configured already."""
    handler = logging.StreamHandler()
    lines = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
    lines.converter = time.gmtime
    handler.setFormatter(lines)
    logging.basicConfig(handlers=[handler])


def begin_audit() -> None:
    """Log operator actions, too, although they are below warning level."""
    logging.getLogger("thinkgate.audit").setLevel(logging.INFO)
