"""The prior: what it is trained on, what it keeps of that, and that it ships and serves deployments it cannot know."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from gateway.cli import main
from gateway.commands.check import explain
from gateway.config.settings import parse
from router_model.adapting import public_outcomes
from router_model.data.outcomes import OutcomeError
from router_model.evaluation import evaluate
from router_model.model import artifact_reader, predict
from tests.router_model import tables

SOURCE = {"source_repo": "someone/outcomes", "source_commit": "0" * 40, "licence": "MIT"}


def public(n: int, models: dict[str, float], **more: Any) -> list[dict[str, Any]]:
    """No-think and thinking outcomes of models of different ability on the same prompts."""
    rng = np.random.default_rng(0)
    made = []
    for i in range(n):
        hard = rng.normal()
        for model, ability in models.items():
            for mode, bonus in (("nothink", 0.0), ("think", 2.0)):
                right = float(rng.random() < 1 / (1 + np.exp(hard - ability - bonus)))
                made.append(
                    tables.row("set", str(i), f"Question {i} of {'some ' * int(5 + hard)}", model, mode, None, right, 9)
                    | SOURCE
                    | more
                )
    return made


def test_rows_without_a_known_licence_are_left_out(tmp_path: Path) -> None:
    rows = public(60, {"good": 1.0}) + [row | {"dataset": "other"} for row in public(60, {"good": 1.0}, licence="none")]
    table, drawn = public_outcomes.table_of(tables.write(rows, tmp_path / "t.parquet"))
    assert {prompt.dataset for prompt in table.prompts} == {"set"}
    assert drawn["rows_of_other_licences"] == 120
    assert drawn["sources"] == [{"repo": "someone/outcomes", "commit": "0" * 40, "licence": "MIT", "rows": 120}]
    nowhere = [{k: v for k, v in row.items() if k != "licence"} for row in rows]
    with pytest.raises(OutcomeError, match="missing column licence"):
        public_outcomes.table_of(tables.write(nowhere, tmp_path / "u.parquet"))


def test_ability_is_told_from_difficulty() -> None:
    """Half of the prompts were asked of weak models, half of strong ones; the middling were asked all."""
    rng = np.random.default_rng(1)
    ease, ability = rng.normal(size=600), np.repeat([-2.0, 0.0, 2.0], 4)
    correct = (rng.random((600, 12)) < 1 / (1 + np.exp(-(ease[:, None] + ability)))).astype(float)
    correct[:300, 8:] = correct[300:, :4] = np.nan
    wanted = 1 / (1 + np.exp(-ease))
    plain, told = np.nanmean(correct, axis=1), public_outcomes.median_ability(correct)
    assert np.corrcoef(told, wanted)[0, 1] > np.corrcoef(plain, wanted)[0, 1] + 0.1
    assert abs(told[:300].mean() - told[300:].mean()) < 0.05 < abs(plain[:300].mean() - plain[300:].mean())
    assert np.isnan(public_outcomes.median_ability(np.full((2, 2), np.nan))).all()


def test_the_prior_ships_small_and_says_where_it_is_from() -> None:
    folder = artifact_reader.folder_of("prior")
    assert sum(path.stat().st_size for path in folder.iterdir()) < 3_000_000
    shipped = artifact_reader.load("prior")
    assert {head.name for head in shipped.heads} >= {"*/nothink", "*/think"}
    card = (folder / "CARD.md").read_text()
    for source in shipped.about["drawn"]["sources"]:
        assert source["licence"] in public_outcomes.LICENCES
        assert source["repo"] in card and source["commit"][:12] in card


def test_budgets_lie_between_no_thought_and_a_whole_one() -> None:
    known = predict.load("prior").restricted({"*"})
    request = [{"role": "user", "content": "Find x if 3 x + 17 = 2 x + 45, and explain."}]
    reading = known.read(request)
    efforts = [("*", True, budget) for budget in (16, 256, 4096, None)]
    said = known.at(known.surface(efforts), known.scores(reading), reading)
    assert said.p_correct == sorted(said.p_correct) and said.p_correct[0] < said.p_correct[-1]
    assert said.thinking_tokens == sorted(said.thinking_tokens) and said.thinking_tokens[0] <= 16


def test_it_forecasts_models_it_has_never_met(tmp_path: Path) -> None:
    data = tables.write(tables.rows(n=80, models=("own",)), tmp_path / "own.parquet")
    result = CliRunner().invoke(main, ["evaluate", "--router", "prior", "--data", str(data)])
    assert result.exit_code == 0, result.output
    assert "the generic head */think" in result.output and "APGR" in result.output
    found = evaluate.run("prior", [data], say=lambda line: None)
    assert found["seen_in_training"] == 0 and np.isfinite(found["apgr"])


def test_a_configuration_may_name_it() -> None:
    chosen = parse(
        {
            "deployments": {"hybrid": {"url": "http://gpu-1:8000/v1", "model": "Own-8B", "family": "qwen3"}},
            "models": {
                "own": {"deployment": "hybrid", "router": "prior", "policy": {"kind": "dial", "budgets": [512, 4096]}}
            },
        }
    )
    said = "\n".join(explain(chosen))
    assert artifact_reader.load("prior").version in said and "knows nothing" not in said


def test_harder_looking_work_is_forecast_to_be_harder() -> None:
    known = predict.load("prior")
    nothink, think = (next(i for i, h in enumerate(known.heads) if h.name == f"*/{m}") for m in ("nothink", "think"))
    easy = known.forecast([{"role": "user", "content": "What is the capital of France? A) Paris B) Rome"}])
    hard = known.forecast(
        [
            {
                "role": "user",
                "content": "Find the remainder when $\\sum_{k=1}^{2023} k^3 \\binom{2023}{k}$ is divided by 1000.",
            }
        ]
    )
    assert easy.p_correct[nothink] > hard.p_correct[nothink]
    assert hard.thinking_tokens[think] > easy.thinking_tokens[think] > 0
