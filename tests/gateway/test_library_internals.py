"""Members of libraries that are no public interface and that the gateway uses: each is where it was, and named if not.

Where one has moved: see what the library does now, mend the module that uses it, and raise the bound in pyproject.
"""

from __future__ import annotations

import inspect
import re
import tomllib
from importlib.metadata import version

import aiohttp
import uvicorn
from aiohttp.client_proto import ResponseHandler
from packaging.requirements import Requirement
from prometheus_client import mmap_dict
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from tests.plain_install import ROOT

# Methods, by what has them, with the parameters that they take.
METHODS = {
    HttpToolsProtocol: {
        "connection_made": ["transport"], "connection_lost": ["exc"], "data_received": ["data"],
        "on_message_begin": [], "on_headers_complete": [], "on_body": ["body"], "on_message_complete": [],
        "on_response_complete": [], "pause_writing": [], "resume_writing": [], "send_400_response": ["msg"],
        "timeout_keep_alive_handler": [], "_unset_keepalive_if_required": [],
    },
    FlowControl: {"resume_reading": []},
    uvicorn.Server: {"startup": ["sockets"], "shutdown": ["sockets"], "handle_exit": ["sig", "frame"]},
    aiohttp.TCPConnector: {"_get": ["key", "traces"], "_release": ["key", "protocol", "should_close"]},
    ResponseHandler: {"abort": []},
    mmap_dict.MmapedDict: {"read_value": ["key"], "write_value": ["key", "value", "timestamp"], "close": []},
}  # fmt: skip
ATTRIBUTES = {
    HttpToolsProtocol: {
        "client", "cycle", "flow", "headers", "loop", "scope", "timeout_keep_alive", "timeout_keep_alive_task",
        "transport", "url",
    },
    RequestResponseCycle: {
        "disconnected", "keep_alive", "message_event", "more_body", "response_complete", "response_started", "scope",
    },
    uvicorn.Server: {"config", "force_exit", "lifespan", "server_state", "servers", "started"},
    ServerState: {"connections", "default_headers", "tasks"},
}  # fmt: skip


def test_methods_are_where_they_were() -> None:
    moved = [
        f"{owner.__module__}.{owner.__name__}.{name}"
        for owner, methods in METHODS.items()
        for name, parameters in methods.items()
        if _parameters(getattr(owner, name, None)) != parameters
    ]
    assert not moved, moved
    assert _parameters(mmap_dict.mmap_key, 0) == ["metric_name", "name", "labelnames", "labelvalues", "help_text"]
    assert isinstance(ResponseHandler.should_close, property)


def test_attributes_are_where_they_were() -> None:
    moved = [f"{owner.__name__}.{name}" for owner, names in ATTRIBUTES.items() for name in names - _named_in(owner)]
    assert not moved, moved


def test_their_versions_are_bounded() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    for requirement in map(Requirement, project["dependencies"]):
        if requirement.name in ("aiohttp", "prometheus-client", "uvicorn"):
            assert any(bound.operator == "<" for bound in requirement.specifier), requirement
            assert version(requirement.name) in requirement.specifier


def _parameters(method: object, skip: int = 1) -> list[str] | None:
    return [*inspect.signature(method).parameters][skip:] if callable(method) else None


def _named_in(owner: type) -> set[str]:
    """The attributes of an instance that its class names."""
    return {*re.findall(r"\bself\.(\w+)", inspect.getsource(owner))}
