"""What commands print for people keeps to 80 columns, whatever is in it; only paths and URLs are longer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from gateway.cli import main
from gateway.commands.demo_table import Row
from gateway.commands.demo_table import table as demo_table
from gateway.commands.lines import COLUMNS, fit
from gateway.families import table
from loadtests.report import Sample, summarise
from loadtests.report import table as load_table
from router_model.evaluation.intervals import wilson
from tests.gateway.test_check import CONFIG


def too_wide(text: str) -> list[str]:
    """Lines that could have been broken: a path or a URL that is too long stands on a line of its own."""
    return [line for line in text.splitlines() if len(line) > COLUMNS and len(line.split()) > 1]


def said(*arguments: str | Path) -> str:
    done = CliRunner().invoke(main, [*map(str, arguments)])
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "thinkgate.toml"
    path.write_text(CONFIG.replace('router = "constant"', 'router = "prior"'), "utf-8")
    return path


def _commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _commands(command, (*path, name))
        else:
            yield (*path, name)


def test_help() -> None:
    known = list(_commands(main))
    assert ("keys", "rotate") in known and len(known) > 12
    for path in known:
        assert too_wide(said(*path, "--help")) == [], path


def test_the_families(config: Path) -> None:
    assert too_wide(said("families")) == []
    for name in table.shipped().names():
        assert too_wide(said("families", name)) == [], name


def test_a_check_of_every_family(config: Path) -> None:
    for more in ((), ("--sources",)):
        text = said("check", config, *more)
        assert text.startswith("OK: 4 deployments and 3 models can be served") and too_wide(text) == []


def test_keys(config: Path) -> None:
    long = "a name that nobody will ever remember, in full"
    limits = ("--ceiling", "high", "--thinking-per-day", "200000", "--tokens-per-minute", "1000000")
    made = json.loads(CliRunner().invoke(main, ["keys", "create", long, "--json", "--config", str(config)]).stdout)
    for text in (
        said("keys", "create", long, *limits, "--model", "merged", "--config", config),
        said("keys", "list", "--config", config),
        said("keys", "show", made["id"], "--config", config),
        said("keys", "rotate", made["id"], "--config", config),
        said("keys", "revoke", made["id"], "--config", config),
    ):
        assert too_wide(text) == []


def test_tables() -> None:
    names = ("never", "budget-128", "always", "dial-0.3", "dial-0.65")
    rows = [
        Row(name, backend, 300, 1.0, wilson(1.0, 300), 1234.5, 12345.6, 123.4, 1234.5, 123.45)
        for backend in ("merged", "split")
        for name in names
    ]
    text = demo_table(rows, ("merged", "split"))
    assert too_wide(text) == [] and "[98.7, 100.0]" in text and "±" not in text
    assert text.startswith("merged: dial-0.65 gets 100.0 % right"), "the verdict comes first"
    sample = Sample("reasoning", "auto", "low", 123.4, thinking_tokens=12345, completion_tokens=12345, first_token_s=99)
    assert too_wide(load_table(summarise([sample] * 10, 2.0))) == []


def test_a_line_is_broken_between_words_only() -> None:
    path = "/a/path/that/is/" + "long/" * 30
    assert fit(f"  stored in {path}").splitlines() == ["  stored in", f"    {path}"]
    assert fit("short") == "short"
