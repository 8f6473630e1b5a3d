"""Databases that several processes share, and that several parts of one process open: nobody loses a lock or a row."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gateway.api.responses.store import response_store
from gateway.assembly import authenticator, keys
from gateway.auth.key import Key
from gateway.auth.limits import NewKey
from gateway.commands.check import explain
from gateway.config.settings import load
from gateway.core import private_file
from tests import plain_http
from tests.gateway.command_line import invoke
from tests.gateway.processes import Process
from tests.gateway.scripted import MODEL, ScriptedBackend
from tests.gateway.stored import connect
from tests.gateway.test_check import run

OPERATOR = "an operators' key of some length"
CONFIG = """
deployments.dep = {{ url = "{url}", model = "{model}", family = "qwen3", verify = false }}
models.pub = {{ deployment = "dep" }}
access = {{ required = true }}
admin = {{ port = 0, key_env = "THINKGATE_TEST_OPERATORS_KEY" }}
"""


@pytest.fixture
def config(backend: ScriptedBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("THINKGATE_TEST_OPERATORS_KEY", OPERATOR)
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "thinkgate.toml"
    path.write_text(CONFIG.format(url=backend.url, model=MODEL), "utf-8")
    return path


def locked(path: Path) -> bool:
    """Whether this process holds a lock of SQLite's on it."""
    inode = str(path.stat().st_ino)
    lines = Path("/proc/locks").read_text("ascii").splitlines()
    return any("POSIX" in line and line.split()[5].split(":")[2] == inode for line in lines)


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="/proc/locks is of Linux")
def test_no_part_of_a_process_drops_the_locks_of_another(config: Path, tmp_path: Path) -> None:
    settings = load(config)
    store = keys(settings.access)
    key = store.create(NewKey.read({"name": "mine"}))[0]
    inside = authenticator(settings.access, lambda why: None)
    responses = response_store(settings)
    responses.open()
    rows = connect(settings.records.path)
    for each in (
        lambda: store.all(),
        lambda: store.get(key.id),
        lambda: store.revoke(key.id),
        lambda: keys(settings.access).all(),
        lambda: authenticator(settings.access, lambda why: None).close(),
        lambda: list(explain(settings)),
        lambda: connect(settings.records.path).close(),
        lambda: opened_again(settings),
    ):
        each()  # type: ignore[no-untyped-call]
        assert locked(settings.access.path)
        assert locked(settings.responses_path)
        assert locked(settings.records.path)
    inside.close()
    responses.close()
    rows.close()


def opened_again(settings: Any) -> None:
    with closing(response_store(settings)) as again:
        again.open()


def test_a_private_file_is_made_once_and_for_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "db"
    private_file.make(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_text("held")
    private_file.make(path)
    assert path.read_text() == "held"
    assert [each.name for each in path.parent.iterdir()] == ["db"]
    # What a link leads to is made, not the link.
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "target")
    private_file.make(link)
    assert link.is_symlink() and stat.S_IMODE((tmp_path / "target").stat().st_mode) == 0o600


def test_what_is_done_to_keys_holds_while_a_gateway_with_an_operators_port_runs(config: Path) -> None:
    folder = config.parent

    def keys_command(*arguments: str) -> str:
        done = invoke("keys", *arguments, "--config", config, cwd=folder)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def secret(*arguments: str) -> str:
        return keys_command(*arguments).split("secret: ")[1].split()[0]

    secrets: dict[str, list[str]] = {"live": [], "dead": []}
    # In a process of its own, whose end closes all that it has opened.
    for trigger in (("keys", "list", "--config", config), ("check", config)):
        with Process("--config", config, "--port", "0", cwd=folder) as gateway:
            url = gateway.url()
            opens = opening(url)
            headers = {"authorization": f"Bearer {OPERATOR}"}
            with plain_http.client(base_url=gateway.operators, headers=headers) as operator:
                mine = secret("create", "mine")
                assert opens(mine)
                assert operator.get("/keys").status_code == 200
                assert run(*trigger, cwd=folder).returncode == 0
                assert operator.get("/keys").status_code == 200
                keys_command("revoke", mine.split("-")[1])
                assert not opens(mine)
                new = secret("create", "new")
                assert opens(new)
                rotated = secret("rotate", new.split("-")[1], "--overlap", "0")
                assert opens(rotated) and not opens(new)
                theirs = operator.post("/keys", json={"name": "theirs"}).json()["secret"]
                assert opens(theirs)
                assert run(*trigger, cwd=folder).returncode == 0
                assert opens(theirs) and not opens(mine)
            assert gateway.stop() == 0
        secrets["live"] += [rotated, theirs]
        secrets["dead"] += [mine, new]
        with Process("--config", config, "--port", "0", cwd=folder) as gateway:
            opens = opening(gateway.url())
            assert [opens(each) for each in secrets["live"]] == [True] * len(secrets["live"])
            assert [opens(each) for each in secrets["dead"]] == [False] * len(secrets["dead"])
            assert gateway.stop() == 0
        with closing(sqlite3.connect(folder / "thinkgate-keys.db")) as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    states = [key.state(0.0) for key in all_keys(config)]
    assert states == ["revoked", "live", "live"] * 2


def all_keys(config: Path) -> list[Key]:
    return keys(load(config).access).all()


def opening(url: str) -> Callable[[str], bool]:
    def opens(secret: str) -> bool:
        answer = plain_http.get(f"{url}/v1/models", headers={"authorization": f"Bearer {secret}"})
        assert answer.status_code in (200, 401)
        return answer.status_code == 200

    return opens
