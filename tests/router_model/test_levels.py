"""Evaluation over more than two levels: the share of the strongest level's tokens, beside a forest's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from router_model.data import outcome_reader
from router_model.data.outcomes import Arm
from router_model.evaluation import evaluate, levels
from router_model.evaluation.frontier import Forecasts
from router_model.training import selection
from tests.router_model import tables


def test_perfect_forecasts_save_what_can_be_saved() -> None:
    table = outcome_reader.from_rows(tables.rows(n=60))
    n = len(table)
    nothing = np.zeros(n)
    sees = Forecasts(
        table.correct, table.completion, np.zeros((n, 10)), nothing, np.zeros(n, bool), nothing, np.zeros(1)
    )
    folds = np.array_split(np.arange(n), 3)
    found = levels.figures(table, sees, folds)
    assert found is not None and len(found["efforts"]) == 6
    router, forest = found["router"], found["forest"]
    assert router["share_of_tokens"] < 0.75 and router["ci"][1] < 1
    assert router["share_of_tokens"] <= forest["share_of_tokens"] <= 1
    assert found["router_minus_forest"]["ci"][1] <= 0.05
    blind = replace(sees, p=np.full_like(table.correct, 0.5), tokens=np.tile(table.completion.mean(axis=0), (n, 1)))
    worse = levels.figures(table, blind, folds)
    assert worse is not None and worse["router"]["share_of_tokens"] == 1
    assert levels.figures(table.columns([table.arms[0], table.arms[-1]]), sees, folds) is None


def test_levels_with_names_are_budgets_and_the_strongest_need_not_be_unlimited() -> None:
    names = {"nothink": "effort-none", "think": "effort-high"}
    rows = [row for row in tables.rows(n=40) if row["mode"] in names or row["budget"] == 32]
    rows = [row | {"mode": names.get(row["mode"], "effort-low"), "budget": None} for row in rows]
    table, weak, strong = selection.ladder(
        outcome_reader.from_rows(rows), Arm("m", "effort-none"), Arm("m", "effort-high")
    )
    assert (weak, strong) == (Arm("m", "nothink"), Arm("m", "budget", 4096))
    efforts, notes = evaluate._efforts(table, weak, strong)
    assert [arm.budget for arm in efforts] == [None, 1024, 4096] and not notes
    table.correct[3, table.arms.index(efforts[1])] = np.nan
    whole, kept, notes = evaluate._complete(table, *evaluate._efforts(table, weak, strong))
    assert kept == efforts and len(whole) == 39 and "1 prompts left out" in notes[0]
