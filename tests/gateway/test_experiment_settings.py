"""Experiments in the configuration: what they may say, every fault in a line before anything starts, and what a change
of weights does to units.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from gateway.app import make_parts
from gateway.commands.check import explain
from gateway.config.settings import parse
from gateway.core.errors import ConfigError
from tests.gateway.conftest import Start, table
from tests.gateway.scripted import ScriptedBackend

ARMS: dict[str, Any] = {
    "merged": {"deployment": "hybrid"},
    "split": {"none": "instruct", "think": "thinking", "weight": 3},
}
TRIED: dict[str, Any] = {"model": "unrouted", "arms": ARMS}


def settings(url: str = "http://127.0.0.1:9", **experiments: Any) -> dict[str, Any]:
    return {**table(url), "experiments": experiments}


def faults_of(**experiments: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        list(explain(parse(settings(**experiments))))
    return caught.value.faults


def tried(**changes: Any) -> dict[str, Any]:
    return {"tried": {**TRIED, **changes}}


FAULTS: list[tuple[dict[str, Any], str]] = [
    (tried(model="unroutd"), "experiments.tried.model: 'unroutd' is not among [models]. Did you mean 'unrouted'?"),
    (
        {**tried(), "again": TRIED},
        "experiments.again.model: unrouted is in experiment tried already: a model can be in one",
    ),
    (tried(arms={"one": {}}), "experiments.tried.arms: an experiment compares two arms or more, and there is one"),
    (tried(arms={}), "experiments.tried.arms: an experiment compares two arms or more, and there are none"),
    (tried(default="mergd"), "experiments.tried.default: 'mergd' is not one of its arms. Did you mean 'merged'?"),
    (
        tried(arms={**ARMS, "none": {"weight": 0}}),
        "experiments.tried.arms.none.weight: input should be greater than or equal to 0.000001",
    ),
    (
        tried(arms={**ARMS, "less": {"weight": -1}}),
        "experiments.tried.arms.less.weight: input should be greater than or equal to 0.000001",
    ),
    (
        tried(arms={**ARMS, "away": {"deployment": "hybird"}}),
        "experiments.tried.arms.away.deployment 'hybird' is not among [deployments]. Did you mean 'hybrid'?",
    ),
    (
        tried(arms={**ARMS, "away": {"deployment": "hybrid", "think": "thinking"}}),
        "experiments.tried.arms.away: set either `deployment` (merged) or `none` and `think` (split)",
    ),
    (
        tried(arms={**ARMS, "away": {"deployment": "thinking"}}),
        "experiments.tried.arms.away.deployment: family qwen3-2507 has no thinking switch",
    ),
    (tried(arms={**ARMS, "dear": {"dial": 0.5}}), "experiments.tried.arms.dear.dial: a client policy has no dial"),
    (
        tried(arms={**ARMS, "dear": {"policy": {"kind": "dial"}}}),
        "experiments.tried.arms.dear.policy: a dial policy needs a router's forecasts",
    ),
    (tried(metrics=["outcom"]), "experiments.tried: 'outcom' is not a metric. Did you mean 'outcome'?"),
    (tried(metrics=["outcome", "outcome"]), "experiments.tried: metrics: one is named twice"),
    (tried(guardrails={"latncy_s": 1}), "experiments.tried: 'latncy_s' is not a metric. Did you mean 'latency_s'?"),
    (
        tried(guardrails={"latency_s": -1}),
        "experiments.tried.guardrails.latency_s: input should be greater than or equal",
    ),
    (tried(level=1.0), "experiments.tried.level: input should be less than 1"),
    (tried(salt=""), "experiments.tried.salt: string should have at least 1 character"),
    (tried(wieghts=1), "experiments.tried.wieghts: unknown key."),
    (
        tried(arms={**ARMS, "all": {"weight": 1e7}}),
        "experiments.tried.arms.all.weight: input should be less than or equal",
    ),
    (
        tried(arms={**ARMS, "ü": {}}),
        'experiments.tried.arms."\\u00fc": a header has this name, so it consists of printable',
    ),
    (tried(arms={**ARMS, "merged ": {}}), 'experiments.tried.arms."merged ": a name has characters that can be seen'),
    (tried(arms={**ARMS, "": {}}), 'experiments.tried.arms."": a name has characters that can be seen, in one line'),
    ({"a\nb": TRIED}, 'experiments."a\\nb": a name has characters that can be seen, in one line, without spaces'),
    (tried(stop={"width": 0}), "experiments.tried.stop.width: input should be greater than 0"),
]


def test_every_fault_is_one_clear_line_before_anything_starts() -> None:
    for experiments, fault in FAULTS:
        found = faults_of(**experiments)
        assert len(found) == 1 and fault in found[0] and "\n" not in found[0], (fault, found)


def test_all_faults_of_arms_are_told_at_once() -> None:
    arms = {"one": {"deployment": "x"}, "two": {"deployment": "y"}}
    assert [fault.split(" ")[0] for fault in faults_of(tried={"model": "unrouted", "arms": arms})] == [
        "experiments.tried.arms.one.deployment",
        "experiments.tried.arms.two.deployment",
    ]


def test_arms_of_a_model_are_an_experiment_without_more() -> None:
    chosen = settings(named={"model": "tried", "guardrails": {"error": 0.05}})
    chosen["models"]["tried"] = {"arms": ARMS}
    said = "\n".join(explain(parse(chosen)))
    assert "Experiment named shares units out; every arm is compared with merged." in said
    assert "An arm gets no more units once it is surely worse in error by more than 0.05." in said
    assert "Arm merged (25% of units): merged" in said and "Arm split (75% of units): split" in said
    del chosen["experiments"]
    assert "Experiment tried shares units out" in "\n".join(explain(parse(chosen)))


def test_arms_have_policies_dials_and_routers_of_their_own(backend: ScriptedBackend, start: Start) -> None:
    arms: dict[str, Any] = {
        "as-it-is": {},
        "thorough": {"dial": 0.95},
        "never": {"policy": {"kind": "fixed", "effort": "none"}},
        "prior": {"router": "prior"},
        "split": {"none": "instruct", "think": "thinking"},
    }
    chosen = settings(backend.url, tried={"model": "merged", "arms": arms})
    chosen["models"]["merged"]["policy"] = {**chosen["models"]["merged"]["policy"], "dial": 0.05, "probe": "never"}
    gateway = start(chosen)
    seen: dict[str, dict[str, str]] = {}
    for number in range(60):
        told = gateway.post(
            {"model": "merged", "messages": [{"role": "user", "content": "What is 7 * 8?"}], "user": f"u{number}"}
        ).headers
        seen[told["x-thinkgate-arm"]] = dict(told)
    assert set(seen) == set(arms)
    assert seen["never"]["x-thinkgate-effort"] == "none" and seen["never"]["x-thinkgate-reason"] == "policy"
    assert seen["as-it-is"]["x-thinkgate-router"] == seen["thorough"]["x-thinkgate-router"]
    assert seen["prior"]["x-thinkgate-router"] != seen["as-it-is"]["x-thinkgate-router"]
    rows = gateway.records()
    assert {row["deployment"] for row in rows if row["arm"] == "split"} <= {"instruct", "thinking"}
    prices = {row["arm"]: row["price_token"] for row in rows}
    assert prices["as-it-is"] > prices["thorough"] > 0


def test_changed_weights_move_few_units_and_the_log_says_how_many(
    backend: ScriptedBackend, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    def arms_of(gateway: Any) -> list[str]:
        ask = {"model": "unrouted", "messages": [{"role": "user", "content": "hi"}]}
        return [gateway.post({**ask, "user": f"u{number}"}).headers["x-thinkgate-arm"] for number in range(60)]

    first = start(settings(backend.url, **tried()))
    before = arms_of(first)
    first.stop()
    again = start(settings(backend.url, **tried()))
    assert arms_of(again) == before, "as before the restart"
    again.stop()
    assert not [line for line in caplog.messages if "experiment" in line]
    caplog.set_level(logging.WARNING)
    ramped = start(settings(backend.url, **tried(arms={**ARMS, "merged": {**ARMS["merged"], "weight": 6}})))
    after = arms_of(ramped)
    ramped.stop()
    ways = {(old, new) for old, new in zip(before, after, strict=True) if old != new}
    assert ways == {("split", "merged")}
    (line,) = [line for line in caplog.messages if "experiment" in line]
    assert "units are now shared merged 67%, split 33%, before merged 25%, split 75%; 4" in line
    stopped = start(settings(backend.url, **tried(running=False, default="split")))
    assert {*arms_of(stopped)} == {"split"}


def test_making_parts_writes_nothing(tmp_path: Path) -> None:
    chosen = parse({**settings(**tried()), "data_dir": str(tmp_path / "data")})
    make_parts(chosen)
    assert chosen.experiments_path == tmp_path / "data" / "experiments.jsonl" and not chosen.experiments_path.exists()
