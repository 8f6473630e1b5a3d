"""Files that the gateway keeps things in, and that are something else: told at the start, by name."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gateway.config.settings import Settings, parse
from gateway.core.errors import ConfigError
from gateway.serving import stored_files
from gateway.serving.run import stored
from tests.gateway.command_line import invoke
from tests.gateway.stored import archive_of
from tests.gateway.test_check import CONFIG


def _settings(folder: Path, **more: Any) -> Settings:
    return parse(
        {
            "access": {"required": True},
            "deployments": {"d": {"url": "http://x", "family": "qwen3"}},
            "models": {"m": {"deployment": "d"}},
            **more,
        },
        folder,
    )


def _fault(settings: Settings) -> str:
    with pytest.raises(ConfigError) as caught:
        stored_files.check(settings)
    assert len(caught.value.faults) == 1, caught.value.faults
    return caught.value.faults[0]


DATABASES = {
    "records.path": "thinkgate.db",
    "access.path": "thinkgate-keys.db",
    "responses.path": "thinkgate.db.responses",
}


def test_a_file_that_is_something_else_is_named(tmp_path: Path) -> None:
    for key, name in DATABASES.items():
        folder = tmp_path / key
        folder.mkdir()
        path = folder / name
        path.write_text("Dear diary, today I have not thought much, and it was a good day all the same.\n" * 20)
        assert _fault(_settings(folder)) == f"{key}: {path} cannot be used: file is not a database"
        path.unlink()
        with closing(sqlite3.connect(path)) as database:
            database.execute("CREATE TABLE diary (day TEXT)")
        assert _fault(_settings(folder)).startswith(f"{key}: {path} is another database: it has no table ")
        path.unlink()
        path.mkdir()
        assert _fault(_settings(folder)) == f"{key}: {path} cannot be used: it is not a file"
    for key, name, what in (
        ("access.path", "thinkgate-keys.db.usage", "is not a Thinkgate counter file"),
        ("records.path", "thinkgate.db.spool", "is not a folder"),
        ("signing", "thinkgate.db.key", "is not a Thinkgate signing secret"),
    ):
        path = tmp_path / name
        path.write_text("Dear diary")
        assert _fault(_settings(tmp_path)) == f"{key}: {path} {what}"
        path.unlink()


def test_one_file_is_not_for_two_things(tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to(tmp_path / "all.db")
    chosen = _settings(tmp_path, records={"path": "all.db"}, access={"required": True, "path": "link.db"})
    assert _fault(chosen).startswith(f"access.path: {tmp_path / 'link.db'} is also used by records.path")


def test_what_is_not_there_yet_is_no_fault_and_is_not_made(tmp_path: Path) -> None:
    chosen = _settings(tmp_path)
    stored_files.check(chosen)
    assert not list(tmp_path.iterdir())
    archive_of(chosen.records.path).prepare()
    stored_files.check(chosen)
    with pytest.raises(ConfigError, match=r"records\.path: /proc/thinkgate/records\.db cannot be used"):
        archive_of(Path("/proc/thinkgate/records.db")).prepare()


def test_where_things_are_kept_is_said(tmp_path: Path) -> None:
    assert list(stored(_settings(tmp_path))) == [
        f"thinkgate stores records in {tmp_path / 'thinkgate.db'}",
        f"thinkgate stores API keys in {tmp_path / 'thinkgate-keys.db'}",
        f"thinkgate stores responses in {tmp_path / 'thinkgate.db.responses'}",
    ]


def test_serving_and_checking_end_at_once_with_one_line(tmp_path: Path) -> None:
    config, path = tmp_path / "thinkgate.toml", tmp_path / "thinkgate.db"
    config.write_text(CONFIG, "utf-8")
    path.write_bytes(bytes(range(256)) * 20)
    for arguments in (["check"], ["serve", "--port", "0", "--config"]):
        done = invoke(*arguments, config, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == f"thinkgate: records.path: {path} cannot be used: file is not a database\n"
