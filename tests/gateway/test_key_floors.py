"""The weakest effort of a key's requests, and what it gives way to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.auth.limits import Limits
from gateway.core.errors import ConfigError
from tests.gateway.command_line import invoke
from tests.gateway.conftest import table
from tests.gateway.keyed import Clock, KeyedGateway
from tests.gateway.scripted import ScriptedBackend


def test_a_floor_above_the_ceiling_is_refused() -> None:
    for limits in ({"floor": "high", "ceiling": "low"}, {"floor": 65, "ceiling": 64}, {"floor": "low", "ceiling": 0}):
        with pytest.raises(ConfigError, match="is above the ceiling"):
            Limits.read(limits)
    assert Limits.read({"floor": "low", "ceiling": "low"}).floor == "low"
    with pytest.raises(ConfigError, match=r"'hgh' is not an effort\. Did you mean 'high'\?"):
        Limits.read({"floor": "hgh"})
    with pytest.raises(ConfigError, match="is above the ceiling"):
        Limits.read({"floor": "high"}).changed(Limits.read({"ceiling": "low"}))
    assert Limits.read({"floor": "high"}).changed(Limits(floor=None, ceiling="low")).given() == {"ceiling": "low"}


def test_a_key_s_requests_think_at_least_so_much(backend: ScriptedBackend, tmp_path: Path) -> None:
    with KeyedGateway(table(backend.url), tmp_path, Clock(), longest_thought=1000) as gateway:
        medium, most = gateway.key(floor="medium"), gateway.key(floor="max")
        used_up = gateway.key(floor="medium", thinking_per_day=0)

        def budget(secret: str, model: str, **fields: Any) -> str:
            asked = {"model": model, "messages": [{"role": "user", "content": "hi"}], **fields}
            answer = gateway.post(asked, headers={"authorization": f"Bearer {secret}"})
            assert answer.status_code == 200, answer.text
            return answer.headers["x-thinkgate-budget"]

        assert budget(medium, "unrouted") == "64", "its default is 32"
        assert budget(medium, "unrouted", reasoning_effort="none") == "64"
        assert budget(medium, "unrouted", reasoning_effort="high") == "128"
        assert budget(most, "bounded") == "128", "the model's ceiling comes first"
        assert int(budget(medium, "merged")) >= 64
        assert budget(used_up, "merged") == "0", "and so does what a quota leaves"


def test_a_change_that_contradicts_changes_nothing(config: Path, tmp_path: Path) -> None:
    made = invoke("keys", "create", "Ann", "--config", config, "--floor", "64", "--json", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    id = json.loads(made.stdout)["id"]
    done = invoke("keys", "update", id, "--config", config, "--ceiling", "none", cwd=tmp_path)
    assert done.returncode == 1 and "the floor (64) is above the ceiling (none)" in done.stderr
    shown = invoke("keys", "show", id, "--config", config, cwd=tmp_path).stdout
    assert "floor 64" in shown and "ceiling" not in shown
