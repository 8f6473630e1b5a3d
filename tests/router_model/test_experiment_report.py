"""The report of an experiment: its JSON, its verdicts, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from router_model.experiments.columns import Columns, by_unit
from router_model.experiments.comparison import Pairs, paired_units
from router_model.experiments.design import Design, Guardrail
from router_model.experiments.guard import Guard
from router_model.experiments.metrics import METRICS
from router_model.experiments.report import report

DESIGN = Design(({"merged": 1, "split": 1},), "merged", (METRICS["outcome"], METRICS["total_tokens"]))


def traffic(seed: int, units: int, effect: float = 0.0, cheaper: float = 1.0, p: float = 0.5) -> Columns:
    """Units of one to four requests each, interleaved; a unit's requests resemble each other."""
    rng = np.random.default_rng(seed)
    in_split = rng.random(units) < p
    ability, size = 0.1 + 0.8 * rng.beta(2, 1, units), rng.lognormal(6, 0.5, units)
    unit = rng.permutation(np.repeat(np.arange(units), rng.integers(1, 5, units)))
    split = in_split[unit]
    right = (rng.random(len(unit)) < ability[unit] + effect * split).astype(float)
    tokens = size[unit] * rng.lognormal(0, 0.3, len(unit)) * np.where(split, cheaper, 1.0)
    return Columns(
        [f"u{one}" for one in unit.tolist()],
        ["split" if one else "merged" for one in split.tolist()],
        {"outcome": right, "total_tokens": tokens},
        {"outcome": ability[unit], "total_tokens": size[unit]},
    )


def test_the_report_is_stable_json_and_says_what_was_found() -> None:
    columns = traffic(1, 12_000, effect=0.06, cheaper=0.9)
    found = json.loads(json.dumps(report("modes", DESIGN, columns, looks=12)))
    assert {"experiment", "arms", "differences", "srm_p"} <= found.keys() and found["experiment"] == "modes"
    merged, split = found["arms"]
    assert (merged["name"], split["name"]) == ("merged", "split")
    assert merged["units"] + split["units"] == 12_000 and merged["requests"] + split["requests"] == len(columns.unit)
    for arm in (merged, split):
        for metric in ("outcome", "total_tokens"):
            low, high = arm["metrics"][metric]["ci"]
            assert low < arm["metrics"][metric]["mean"] < high
    outcome, tokens = found["differences"]
    assert (outcome["metric"], outcome["arm"], outcome["against"]) == ("outcome", "split", "merged")
    assert outcome["ci"][0] < 0.06 < outcome["ci"][1] and outcome["verdict"] == "better"
    assert tokens["verdict"] == "better" and tokens["relative"] == pytest.approx(-0.1, abs=0.02)
    assert len(outcome["path"]) > 8 and outcome["path"][-1]["units"] < 12_000
    assert found["srm_p"] > 0.01 and found["srm_p_always"] > 0.01 and found["stop"]["reason"] == "decided"
    (verdict,) = found["verdicts"]
    low, high = (100 * bound for bound in outcome["ci"])
    assert verdict == (
        f"split answers {100 * outcome['estimate']:.1f} points [{low:.1f}, {high:.1f}] more right than merged, "
        f"at {-100 * tokens['relative']:.0f} % fewer tokens."
    )


def test_nothing_is_decided_where_nothing_differs() -> None:
    found = report("modes", replace(DESIGN, stop_width=0.2), traffic(2, 3000))
    assert {one["verdict"] for one in found["differences"]} == {"undecided"}
    assert found["verdicts"][0].startswith("Undecided so far: split answers")
    assert found["stop"] == {"reached": True, "reason": "width", "width": found["stop"]["width"]}
    worse = report("modes", DESIGN, traffic(3, 12_000, effect=-0.06, cheaper=1.3))
    assert [one["verdict"] for one in worse["differences"]] == ["worse", "worse"]
    assert "less right than merged, at" in worse["verdicts"][0] and worse["verdicts"][0].endswith("more tokens.")
    few = report("modes", DESIGN, traffic(4, 12))
    assert few["differences"][1]["ci"] is None and few["differences"][1]["verdict"] == "undecided"
    none = report("modes", DESIGN, Columns([], [], {"outcome": np.zeros(0), "total_tokens": np.zeros(0)}))
    assert none["arms"][0]["metrics"]["outcome"] == {"mean": None, "ci": None, "units": 0}
    assert none["verdicts"] == ["Too few units of split and merged are settled to say anything."]


def test_units_in_the_wrong_proportion_void_the_verdict() -> None:
    found = report("modes", DESIGN, traffic(5, 3000, effect=0.08, p=0.4))
    assert found["srm_p"] < 1e-6 and found["srm_p_always"] < 1e-3
    assert "trust no difference" in found["verdicts"][0]


def test_a_worse_arm_breaches_its_guardrail_and_an_equal_one_does_not() -> None:
    design = replace(DESIGN, guardrails=(Guardrail("outcome", 0.02), Guardrail("total_tokens", 50)))
    assert report("m", design, traffic(6, 6000))["guardrails"] == []
    assert report("m", design, traffic(7, 6000, effect=-0.1))["guardrails"] == [
        {"arm": "split", "metric": "outcome", "margin": 0.02}
    ]
    dear = report("m", design, traffic(8, 6000, cheaper=1.5))["guardrails"]
    assert dear == [{"arm": "split", "metric": "total_tokens", "margin": 50}]


def test_a_guard_is_fed_in_batches_and_survives_json() -> None:
    design = replace(DESIGN, guardrails=(Guardrail("outcome", 0.02), Guardrail("total_tokens")))
    for effect, arms in ((-0.1, {"split"}), (0.0, set[str]())):
        whole = traffic(11, 6000, effect=effect)
        first = np.sort(np.unique(np.array(whole.unit), return_index=True)[1])
        guard = Guard.of(design)
        for batch in np.array_split(first, 7):
            part = Columns(
                [whole.unit[i] for i in batch],
                [whole.arm[i] for i in batch],
                {name: column[batch] for name, column in whole.values.items()},
                {name: column[batch] for name, column in whole.forecasts.items()},
            )
            guard = Guard.of_state(design, json.loads(json.dumps(guard.extended(part).state())))
        assert {one.arm for one in guard.breached()} == arms and len(guard.state()) == 2


def test_outcomes_that_are_known_of_one_arm_more_often_are_pointed_out() -> None:
    columns, rng = traffic(13, 4000), np.random.default_rng(1)
    hidden = np.array([arm == "split" for arm in columns.arm]) & (rng.random(len(columns.arm)) < 0.3)
    values = {**columns.values, "outcome": np.where(hidden, np.nan, columns.values["outcome"])}
    found = report("m", DESIGN, replace(columns, values=values))
    assert found["known_p"]["outcome"] < 1e-6 and found["known_p"]["total_tokens"] == 1
    assert "known of different shares" in found["verdicts"][0] and len(found["verdicts"]) == 2
    assert report("m", DESIGN, columns)["known_p"]["outcome"] == 1


def stopped(runs: int, units: int, looks: int, seed: int) -> float:
    """The share of experiments without a difference in which an arm is stopped, or any difference decided, ever."""
    design = replace(DESIGN, guardrails=(Guardrail("outcome"), Guardrail("total_tokens")))
    false = 0
    for run in range(runs):
        whole = traffic(seed + run, units)
        ever = False
        for end in np.geomspace(100, len(whole.unit), looks).astype(int):
            part = Columns(
                whole.unit[:end],
                whole.arm[:end],
                {name: column[:end] for name, column in whole.values.items()},
                {name: column[:end] for name, column in whole.forecasts.items()},
            )
            found = report("m", design, part)
            ever |= bool(found["guardrails"]) or any(one["verdict"] != "undecided" for one in found["differences"])
        false += ever
    return false / runs


def test_false_stops_are_rare() -> None:
    assert stopped(12, 600, 4, 100) <= 0.09


@pytest.mark.long
def test_false_stops_stay_below_the_level() -> None:
    share = stopped(500, 800, 7, 1000)
    print(f"experiments without a difference that were ever stopped or decided: {share:.3f}")
    assert share <= 0.05


def test_a_unit_counts_once_and_never_changes_its_arm() -> None:
    nan = np.nan
    columns = Columns(
        ["a", "b", "a", "c", "b", "a"],
        ["x", "y", "x", "y", "x", "x"],
        {"outcome": np.array([1, 0, 0, nan, 1, nan])},
        {"outcome": np.array([0.9, 0.2, 0.1, 0.5, 0.6, 0.7])},
    )
    table = by_unit(columns, ("x", "y"))
    assert table.arm.tolist() == [0, 1, 1] and table.switched == 1 and table.requests.tolist() == [3, 2]
    assert table.values["outcome"][:2].tolist() == [0.5, 0.0] and np.isnan(table.values["outcome"][2])
    assert table.forecasts["outcome"].tolist() == [0.9, 0.2, 0.5], "what was forecast before the arm could matter"


def test_changed_weights_and_three_arms() -> None:
    """Weights change while quality drifts: means of the arms would mislead, the differences do not."""
    rng, n = np.random.default_rng(9), 30_000
    phases = ({"a": 8, "b": 1, "c": 1}, {"a": 1, "b": 8, "c": 1})
    phase = (np.arange(n) >= n // 2).astype(np.int64)
    draw = rng.random(n)
    arm = np.where(phase == 0, np.digitize(draw, [0.8, 0.9]), np.digitize(draw, [0.1, 0.9]))
    right = (rng.random(n) < np.where(phase == 0, 0.9, 0.4) + 0.05 * (arm == 2)).astype(float)
    columns = Columns(range(n), [("a", "b", "c")[one] for one in arm.tolist()], {"outcome": right}, phase=phase)
    found = report("ramp", Design(phases, "a", (METRICS["outcome"],)), columns)
    assert found["arms"][0]["metrics"]["outcome"]["mean"] > 0.3 + found["arms"][1]["metrics"]["outcome"]["mean"]
    truths = {"b": 0.0, "c": 0.05}
    for one in found["differences"]:
        assert one["ci"][0] < truths[one["arm"]] < one["ci"][1] and one["ci"][1] - one["ci"][0] < 0.12
    assert found["srm_p"] > 0.01


def test_pairs_are_compared_as_pairs() -> None:
    columns, rng = traffic(10, 2000), np.random.default_rng(10)
    both = (rng.random(1500) < 0.7).astype(float)
    flipped = np.where(rng.random(1500) < 0.06, 1 - both, both)
    pairs = Pairs([f"p{i // 2}" for i in range(1500)], {"outcome": {"merged": both, "split": flipped}})
    paired, unpaired = (report("m", DESIGN, columns, each)["differences"][0] for each in (pairs, Pairs()))
    assert (paired["method"], unpaired["method"], paired["units"]) == ("paired", "units", 750)
    assert np.diff(paired["ci"])[0] < 0.6 * np.diff(unpaired["ci"])[0]
    table = by_unit(columns, DESIGN.arms)
    few = {"merged": np.zeros(3), "split": np.array([1.0, np.nan, 0.0])}
    units = paired_units(table, Pairs(["u7", "u8", "u7"], {"outcome": few}), DESIGN, METRICS["outcome"], "split")
    assert (units.place.tolist(), units.value.tolist()) == ([table.place["u7"]], [0.5])


def test_units_of_a_phase_in_which_an_arm_got_none_say_nothing_about_it() -> None:
    columns = traffic(5, 400)
    before = replace(columns, phase=np.zeros(len(columns.unit), np.int64))
    later = Columns(
        [*columns.unit, *(f"v{n}" for n in range(300))],
        [*columns.arm, *["merged"] * 300],
        {name: np.concatenate([values, np.zeros(300)]) for name, values in columns.values.items()},
        {},
        np.concatenate([np.zeros(len(columns.unit), np.int64), np.ones(300, np.int64)]),
    )
    two = replace(DESIGN, phases=(DESIGN.phases[0], {"merged": 1.0, "split": 0.0}))
    first, second = report("m", DESIGN, replace(before, forecasts={})), report("m", two, later)
    assert first["differences"][0]["ci"] == second["differences"][0]["ci"] and first["srm_p"] == second["srm_p"]
    assert second["arms"][0]["units"] == first["arms"][0]["units"] + 300


def test_what_is_no_experiment_is_refused() -> None:
    weights, metrics = {"a": 1.0, "b": 1.0}, DESIGN.metrics
    for phases, against, fields, says in (
        ((), "a", {}, "two arms"),
        (({"a": 1.0},), "a", {}, "two arms"),
        ((weights, {"a": 1.0, "c": 1.0}), "a", {}, "same arms"),
        (({"a": 0.0, "b": 0.0},), "a", {}, "above 0"),
        (({"a": 1.0, "b": -1.0},), "a", {}, "negative"),
        (({"a": 1.0, "b": float("nan")},), "a", {}, "negative"),
        ((weights,), "c", {}, "no arm 'c'"),
        ((weights,), "a", {"primary": "luck"}, "luck"),
        ((weights,), "a", {"level": 1.0}, "level"),
        ((weights,), "a", {"guardrails": (Guardrail("outcome", -1),)}, "margin"),
        ((weights,), "a", {"stop_width": 0.0}, "width"),
    ):
        with pytest.raises(ValueError, match=says):
            Design(phases, against, metrics, **fields)  # type: ignore[arg-type]
    one = {"outcome": np.ones(1), "total_tokens": np.ones(1)}
    for columns, says in (
        (lambda: Columns(["a"], ["merged"], {"outcome": np.ones(1)}), "no values of total_tokens"),
        (lambda: Columns(["a"], ["other"], one), "other"),
        (lambda: Columns(["a", "b"], ["merged"], one), "length"),
        (lambda: Columns(["a"], ["merged"], one, {"luck": np.ones(1)}), "forecast"),
        (lambda: Columns(["a"], ["merged"], one | {"outcome": np.array([2.0])}), "not within"),
    ):
        with pytest.raises(ValueError, match=says):
            report("m", DESIGN, columns())
