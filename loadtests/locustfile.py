"""The locustfile of every scenario: `locust -f loadtests/locustfile.py ChatUser --host http://127.0.0.1:8000`.

`python -m loadtests` calls it. Only loopback is loaded: this is a test of a gateway on one machine, and must not hit
somebody else's by a slip of the command line.
"""

from __future__ import annotations

import ipaddress
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from locust import events
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment

from loadtests.load import Load
from loadtests.users import (  # noqa: F401  (locust finds the users by their names here)
    AgentUser,
    Asker,
    BatchUser,
    BurstUser,
    ChatUser,
    HangUpUser,
    MixedUser,
    SlowReader,
)


def is_loopback(url: str) -> bool:
    """Whether a base URL is on this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@events.init_command_line_parser.add_listener
def _options(parser: LocustArgumentParser) -> None:
    parser.add_argument("--models", default="tiny,tiny-split", help="models to use, separated by commas")
    parser.add_argument("--requests", type=int, default=10_000, help="stop after so many requests")
    parser.add_argument("--seed", type=int, default=1, help="the same seed sends the same requests")
    parser.add_argument("--summary", default="", help="file for the summary as JSON")
    parser.add_argument("--plot", default="", help="file for a picture, PNG")


@events.init.add_listener
def _prepare(environment: Environment, **_: Any) -> None:
    options = environment.parsed_options
    if options is None or not is_loopback(environment.host or ""):
        sys.exit(f"only a gateway on this machine is loaded, and {environment.host!r} is not one")
    (user,) = environment.user_classes
    sessions = user.traffic(options.models.split(","), options.seed)
    Asker.load = load = Load(sessions, options.requests, _path(options.summary), _path(options.plot))
    environment.events.test_start.add_listener(load.begin)
    environment.events.test_stop.add_listener(load.stop)
    # Only then has locust printed its own tables.
    environment.events.quit.add_listener(load.report)


def _path(name: str) -> Path | None:
    return Path(name) if name else None
