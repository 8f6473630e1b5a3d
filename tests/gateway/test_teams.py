"""Teams share a budget, and live keys change at once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.auth.api_key_format import key_id
from gateway.auth.limits import KeyChange, NewKey, NewTeam, TeamChange
from gateway.auth.teams import Teams
from gateway.core.errors import KeyNotLive, TeamConflict, UnknownTeam
from tests.gateway.command_line import invoke
from tests.gateway.conftest import table
from tests.gateway.keyed import Clock, KeyedGateway
from tests.gateway.scripted import ScriptedBackend, thorough

ASK: dict[str, Any] = {"model": "bounded", "messages": [{"role": "user", "content": "hi"}], "reasoning_effort": "high"}


@pytest.fixture
def gateway(backend: ScriptedBackend, tmp_path: Path) -> Iterator[KeyedGateway]:
    backend.script = thorough
    with KeyedGateway(table(backend.url), tmp_path, Clock()) as running:
        yield running


def ask(gateway: KeyedGateway, secret: str, **more: Any) -> httpx.Response:
    return gateway.post({**ASK, **more}, headers={"authorization": f"Bearer {secret}"})


def in_team(gateway: KeyedGateway, team: str, **limits: Any) -> str:
    return gateway.keys.create(NewKey.read({"name": "a key", "team": team, "limits": limits}))[1]


def test_a_team_bounds_its_keys_together_and_each_by_itself(gateway: KeyedGateway) -> None:
    teams = Teams(gateway.keys)
    teams.create(NewTeam.read({"name": "research", "limits": {"thinking_per_day": 400}}))
    ann, bob, other = in_team(gateway, "research", thinking_per_day=260), in_team(gateway, "research"), gateway.key()
    assert [ask(gateway, ann).status_code for _ in range(2)] == [200, 200]
    own = ask(gateway, ann).json()["error"]["message"]
    assert "of 260 per day, 4 are left to the key" in own
    answer = ask(gateway, bob)
    assert answer.status_code == 200 and answer.headers["x-thinkgate-remaining-thinking"] == "16"
    theirs = ask(gateway, bob)
    assert theirs.status_code == 429
    assert "of 400 per day, 16 are left to the team research" in theirs.json()["error"]["message"]
    note = ask(gateway, bob, model="unrouted", reasoning_effort="max").headers["x-thinkgate-note"]
    assert note == "the team research has 16 thinking tokens left for this day"
    assert ask(gateway, other).status_code == 200
    shown = teams.describe(teams.get("research"))
    assert shown["keys"] == [key_id(ann), key_id(bob)] and shown["limits"] == {"thinking_per_day": 400}
    assert shown["usage"]["day"]["thinking_tokens"] == 400 and shown["usage"]["all"]["degraded"] == 1
    assert gateway.keys.describe(gateway.keys.get(str(key_id(bob))))["team"] == "research"
    assert gateway.parts.authenticator.authenticate({"x-api-key": ann}).team == "research"
    # At once, in running gateways.
    teams.update("research", TeamChange.read({"limits": {"thinking_per_day": 1000, "requests_per_minute": 7}}))
    assert ask(gateway, bob).status_code == 200
    assert ask(gateway, ann, reasoning_effort="none", model="unrouted").status_code == 429
    teams.update("research", TeamChange.read({"limits": {"requests_per_minute": None}}))
    assert teams.get("research").limits.given() == {"thinking_per_day": 1000}
    assert ask(gateway, ann, reasoning_effort="none", model="unrouted").status_code == 200


def test_teams_are_named_once_and_removed_without_keys(gateway: KeyedGateway) -> None:
    teams = Teams(gateway.keys)
    teams.create(NewTeam.read({"name": "a"}))
    secret = in_team(gateway, "a")
    with pytest.raises(TeamConflict, match="already"):
        teams.create(NewTeam.read({"name": "a"}))
    with pytest.raises(UnknownTeam):
        in_team(gateway, "b")
    with pytest.raises(TeamConflict, match="has keys"):
        teams.remove("a")
    id = str(key_id(secret))
    gateway.keys.update(id, KeyChange.read({"team": None}))
    teams.remove("a")
    assert teams.all() == [] and ask(gateway, secret).status_code == 200
    # Neither a key nor a team ever has the counters of another one.
    team = teams.create(NewTeam.read({"name": "c"}))
    slots = [gateway.keys.get(str(key_id(each))).slot for each in (secret, gateway.key())]
    assert len({*slots, team.slot}) == 3
    actions = [each["action"] for each in gateway.keys.audit()]
    assert {"teams.create", "teams.remove", "keys.update"} <= {*actions}


def test_a_live_key_is_changed_at_once(gateway: KeyedGateway) -> None:
    secret = gateway.key(thinking_per_day=100, requests_per_minute=50)
    id = str(key_id(secret))
    assert ask(gateway, secret).status_code == 429
    key = gateway.keys.update(id, KeyChange.read({"name": "Ann", "limits": {"thinking_per_day": 1000}}))
    assert (key.name, key.limits.given()) == ("Ann", {"thinking_per_day": 1000, "requests_per_minute": 50})
    assert ask(gateway, secret).status_code == 200
    key = gateway.keys.update(id, KeyChange.read({"limits": {"requests_per_minute": None}, "expires_in_s": 0}))
    assert key.limits.given() == {"thinking_per_day": 1000} and key.name == "Ann"
    assert ask(gateway, secret).status_code == 401
    assert gateway.keys.update(id, KeyChange.read({"expires_in_s": None})).expires is None
    assert ask(gateway, secret).status_code == 200
    gateway.keys.revoke(id)
    with pytest.raises(KeyNotLive, match="revoked"):
        gateway.keys.update(id, KeyChange.read({"name": "Bob"}))


@pytest.fixture
def config(backend: ScriptedBackend, tmp_path: Path) -> Path:
    path = tmp_path / "thinkgate.toml"
    path.write_text(
        f'deployments.dep = {{ url = "{backend.url}", model = "m", family = "qwen3", verify = false }}\n'
        'models.pub = { deployment = "dep" }\naccess = { required = true }\n',
        "utf-8",
    )
    return path


def run(config: Path, *arguments: str) -> Any:
    done = invoke("keys", *arguments, "--config", config, "--json", cwd=config.parent)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_commands(config: Path) -> None:
    made = run(config, "team", "create", "research", "--thinking-per-day", "5000", "--overspend", "0.2")
    assert made["limits"] == {"thinking_per_day": 5000, "overspend": 0.2} and made["keys"] == []
    key = run(config, "create", "Ann", "--team", "research", "--thinking-per-hour", "10", "--ceiling", "64")
    assert key["team"] == "research"
    changed = run(config, "update", key["id"], "--no-limit", "thinking-per-hour", "--dollars-per-day", "2.5")
    assert changed["limits"] == {"dollars_per_day": 2.5, "ceiling": 64}
    assert run(config, "update", key["id"], "--name", "Bob", "--expires", "1d", "--no-team")["team"] is None
    assert run(config, "update", key["id"], "--team", "research", "--never-expires")["expires"] is None
    assert run(config, "team", "update", "research", "--no-limit", "overspend")["limits"] == {"thinking_per_day": 5000}
    assert run(config, "team", "list")["data"] == [run(config, "team", "show", "research")]
    shown = invoke("keys", "show", key["id"], "--config", config, cwd=config.parent).stdout
    assert "limits: dollars_per_day $2.5, ceiling 64" in shown and "team: research" in shown and "degraded 0" in shown
    listed = invoke("keys", "team", "list", "--config", config, cwd=config.parent).stdout
    assert listed.startswith("research: 1 key; 0 requests") and "thinking_per_day 5,000" in listed
    for arguments, said in (
        (("update", key["id"], "--no-limit", "thinking-per-dya"), "limits.thinking_per_dya: unknown key. Did you mean"),
        (("update", key["id"], "--no-limit", "ceiling", "--ceiling", "low"), "--no-limit: ceiling is also set"),
        (("update", key["id"], "--team", "no-such"), "There is no team 'no-such'."),
        (("update", key["id"], "--overspend", "2"), "limits.overspend: input should be less than or equal to 1"),
        (("update", "no-such", "--name", "x"), "There is no key 'no-such'."),
        (("team", "create", "a b"), "name: string should match pattern"),
        (("team", "remove", "research"), "The team research has keys"),
    ):
        done = invoke("keys", *arguments, "--config", config, cwd=config.parent)
        assert done.returncode == 1 and done.stderr.startswith(f"thinkgate: {said}"), done.stderr
