"""No route answers strangers where keys are asked for, and what a configuration leaves open is said at the start."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from gateway import assembly
from gateway.api.data import Erased
from gateway.api.openapi import documents
from gateway.api.reload import Reload
from gateway.assembly.served_versions import version_control
from gateway.auth.limits import NewKey
from gateway.commands.check import explain
from gateway.config import exposure
from gateway.config.server import ServerSettings
from gateway.config.settings import Settings, parse
from gateway.config.storage import AccessSettings
from gateway.core.errors import ConfigError
from gateway.observability.metrics import Metrics
from gateway.serving.admin import create_admin_app, running
from tests.gateway.conftest import table
from tests.gateway.keyed import Clock, KeyedGateway, ServedKeyedGateway
from tests.gateway.scripted import ScriptedBackend

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
# The liveness probe, and whether requests can be answered, without any detail.
FOR_ANYBODY = {("GET", "/health"), ("GET", "/ready")}
ID = f"resp_{'0' * 48}"


def spellings(path: str) -> Iterator[str]:
    """The path, and what somebody might hope is taken for it."""
    yield path
    yield f"{path}/"
    yield f"/{path}"
    yield f"{path}?key=x"
    yield f"{path};x"
    yield f"{path}%00"
    yield f"/%2e{path}"
    yield f"/v1/..{path}"
    yield path.upper()
    yield f"/%{ord(path[1]):02x}{path[2:]}"


def ask(url: str, method: str, path: str) -> tuple[int, bytes]:
    """Status and body of an answer to a request without a key, its path as it stands here."""
    host, port = url.removeprefix("http://").split(":")
    request = f"{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{{}}"
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(request.encode())
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
    return int(answer.split()[1]), answer.partition(b"\r\n\r\n")[2]


def refused_everywhere(url: str, document: dict[str, Any], anybody: set[tuple[str, str]]) -> int:
    """How many requests were sent: for each path that is described, in each spelling, with each method."""
    sent = 0
    for path in sorted({*document["paths"], "/openapi.json"}):
        path = path.replace("{id}", ID).replace("{response_id}", ID).replace("{name}", "merged")
        for spelling in spellings(path):
            for method in METHODS:
                status, body = ask(url, method, spelling)
                sent += 1
                if (method, unquote(spelling.partition("?")[0])) in anybody:
                    assert status == 200 and len(body) < 30
                else:
                    assert status in (401, 404, 405), (method, spelling, status)
                    assert len(body) < 600 and b"merged" not in body.replace(b"/merged", b""), (method, spelling)
    return sent


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeyedGateway]:
    with ScriptedBackend() as backend:
        with ServedKeyedGateway(table(backend.url), tmp_path_factory.mktemp("exposure"), Clock()) as gateway:
            yield gateway
        assert backend.requests == []


def test_no_route_of_the_clients_port_answers_strangers(keyed: KeyedGateway) -> None:
    document = documents.clients("0", keyed=True, metrics=True)
    assert {"/metrics", "/v1/messages/count_tokens"} <= set(document["paths"])
    assert refused_everywhere(keyed.url, document, FOR_ANYBODY) >= 1000


def test_no_route_of_the_operators_port_answers_strangers(tmp_path: Path) -> None:
    reload: Reload = dict
    keys = assembly.keys(AccessSettings(path=tmp_path / "keys.db"))
    settings = parse({**table("http://127.0.0.1:9"), "data_dir": str(tmp_path)})
    app = create_admin_app(
        keys,
        Metrics(),
        "an operators' key of some length",
        reload,
        lambda whose, anonymise: Erased(0, 0),
        lambda: assembly.idle_experiments(settings),
        lambda: version_control(settings),
    )
    with socket.create_server(("127.0.0.1", 0)) as listener, running(app, ServerSettings(), listener):
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        refused_everywhere(url, documents.operators("0"), {("GET", "/health")})


def test_metrics_and_the_description_can_be_opened_and_closed(tmp_path: Path) -> None:
    with ScriptedBackend() as backend:
        given = table(backend.url)
        for name, (server, admin, without, with_key) in enumerate(
            (
                ({}, None, (401, 401), (200, 200)),
                ({"metrics": "open", "openapi": "open"}, None, (200, 200), (200, 200)),
                ({"metrics": False, "openapi": False}, None, (404, 404), (404, 404)),
                ({}, {"port": 0}, (404, 401), (404, 200)),
                ({"metrics": True}, {"port": 0}, (401, 401), (200, 200)),
            )
        ):
            folder = tmp_path / str(name)
            extra = {} if admin is None else {"admin": admin}
            with KeyedGateway({**given, "server": server, **extra}, folder, Clock()) as gateway:
                key = {"x-api-key": gateway.keys.create(NewKey.read({"name": "k"}))[1]}
                for headers, statuses in (({}, without), (key, with_key)):
                    for path, status in zip(("/metrics", "/openapi.json"), statuses, strict=True):
                        got = gateway.get(path, headers=headers).status_code
                        assert got == status, (server, path, headers)


def test_what_is_open_beyond_this_machine_is_said(tmp_path: Path) -> None:
    def said(**changes: Any) -> str:
        chosen = parse({**table("http://x"), "records": {"path": str(tmp_path / "r.db")}, **changes})
        lines = "\n".join(exposure.warnings(chosen))
        if "admin" not in changes:
            assert all(f"WARNING: {line}." in "\n".join(explain(chosen)) for line in lines.splitlines())
        return lines

    for host in ("127.0.0.1", "127.8.9.1", "::1", "localhost"):
        assert said(server={"host": host}) == ""
    for host in ("0.0.0.0", "::", "10.1.2.3", "gateway.example", ""):
        assert "can use every model, because no key is required" in said(server={"host": host})
        assert said(server={"host": host}, access={"required": True, "path": str(tmp_path / "k.db")}) == ""
        admin = {"host": host, "port": 1, "key_env": "X"}
        assert "without TLS" in said(admin=admin)


def test_files_that_others_can_read_are_said(tmp_path: Path) -> None:
    chosen = parse({**table("http://x"), "records": {"path": str(tmp_path / "r.db")}})
    for name in ("r.db", "r.db.key", "r.db.responses", "r.db-wal"):
        path = tmp_path / name
        path.touch(0o600)
        path.chmod(0o600)
        assert list(exposure.warnings(chosen)) == []
        path.chmod(0o640)
        (line,) = exposure.warnings(chosen)
        assert line == f"{path} is open to other users of this machine (mode 640): chmod 600 {path}"
        path.chmod(0o600)


def test_a_url_with_a_password_is_refused_and_not_repeated(tmp_path: Path) -> None:
    """URLs are in logs, in `check` and in errors."""
    for url in ("http://user:MARK@x", "https://MARK@x/v1", "ftp://user:MARK@x", "http://user:MARK@", "http://a@b:MARK"):
        with pytest.raises(ConfigError) as refused:
            list(explain(parse({**table(url), "records": {"path": str(tmp_path / "r.db")}})))
        assert len(refused.value.faults) == 4
        assert all("it contains credentials" in fault and "MARK" not in fault for fault in refused.value.faults)


def test_the_threat_model_names_what_there_is() -> None:
    """Tests, settings and limits."""
    root = Path(__file__).parents[2]
    text = (root / "docs" / "threat-model.md").read_text("utf-8")
    for name in set(re.findall(r"`(test_[a-z_*]+\.py)`", text)):
        assert list((root / "tests" / "gateway").glob(name)), name
    for section, field in set(re.findall(r"`(server|records|responses|access)\.([a-z_]+)`", text)):
        assert field in Settings.model_fields[section].annotation.model_fields, f"{section}.{field}"
