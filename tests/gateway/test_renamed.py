"""Settings that have a new name: the old one is read and warned of once, and both together are refused."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from gateway.config.renamed import RENAMED, with_new_names
from gateway.config.settings import parse
from gateway.core.errors import ConfigError
from tests.gateway.command_line import invoke
from tests.gateway.test_check import CONFIG

ISSUE = {"when": "always", "what": "it fails", "way_round": "none", "source": "a test"}


def table(**deployment: Any) -> dict[str, Any]:
    served = {"url": "http://127.0.0.1:9", "family": "qwen3"}
    return {
        "deployments": {"one": {**served, **deployment}, "two": {**served, **deployment}},
        "models": {"pub": {"deployment": "one"}},
    }


def test_an_old_name_alone_works_and_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    given = table(probe=False)
    chosen = parse(given)
    assert [one.verify for one in chosen.deployments.values()] == [False, False]
    assert caplog.messages == [
        "deployments.one.probe, deployments.two.probe: `probe` is now called `verify`; "
        "the next release accepts only the new name"
    ]
    assert given == table(probe=False), "what was given stays as it was"
    caplog.clear()
    assert parse(table(verify=False)) == chosen
    assert not caplog.messages


def test_rows_of_families_may_still_have_faults(caplog: pytest.LogCaptureFixture) -> None:
    rows = {"mine": {"base": "qwen3", "faults": [ISSUE], "vllm": {"faults": [ISSUE]}}}
    row = parse({**table(), "families": rows}).families["mine"]
    assert row.vllm is not None and len(row.known_issues) == len(row.vllm.known_issues) == 1
    assert caplog.messages == [
        "families.mine.faults, families.mine.vllm.faults: `faults` is now called `known_issues`; "
        "the next release accepts only the new name"
    ]


@pytest.mark.parametrize("renamed", RENAMED, ids=str)
def test_both_names_are_refused_and_named(renamed: Any, caplog: pytest.LogCaptureFixture) -> None:
    both: dict[str, Any] = {renamed.old: 1, renamed.new: 1}
    where = ["x" if part == "*" else part for part in renamed.path]
    for part in reversed(where):
        both = {part: both}
    with caplog.at_level(logging.WARNING), pytest.raises(ConfigError) as caught:
        with_new_names(both)
    assert caught.value.faults == [
        f"{'.'.join([*where, renamed.new])}: {renamed.old!r} is its old name, and both are given: leave "
        f"{renamed.old!r} out"
    ]
    assert not caplog.messages


@pytest.mark.parametrize("odd", [{"deployments": 5}, {"deployments": {"a": 1}}, {"families": {"m": {"vllm": []}}}, {}])
def test_what_is_no_table_is_left_for_the_check_that_follows(odd: dict[str, Any]) -> None:
    assert with_new_names(odd) == odd


def test_the_old_flag_is_read_and_warned_of_and_both_are_refused(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(CONFIG)
    old = invoke("check", "--probe", config, cwd=tmp_path)
    assert "--probe is deprecated" in old.stderr and "Verification FAILED" in old.stdout
    both = invoke("check", "--probe", "--verify", config, cwd=tmp_path)
    assert both.returncode == 2 and "--probe is the old name of --verify" in both.stderr
