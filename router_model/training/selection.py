"""Selects the prompts and arms of an outcome table to train on, and adds the generic model `*`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from router_model.data.outcomes import GENERIC, Arm, OutcomeError, Outcomes, row_means
from router_model.training.settings import LEAST_PROMPTS


def trainable(table: Outcomes, say: Callable[[str], None], least: int = LEAST_PROMPTS) -> Outcomes:
    """The rows and arms to train on; reports what is left out and why. `least`: the prompts that an effort needs.

    OutcomeError: there are fewer than two usable efforts.
    """
    table = _with_levels_as_budgets(without_test_prompts(table, say), say)
    counts = dict(zip(table.arms, (~np.isnan(table.correct)).sum(axis=0).tolist(), strict=True))
    named = [arm for arm in table.arms if arm.mode.startswith("effort-")]
    few = [arm for arm in table.arms if arm not in named and counts[arm] < least]
    if named:
        say(f"Left out {len(named)} arms with a named effort that stands for no budget of its own")
    if few:
        names = ", ".join(arm.name for arm in few[:8])
        say(f"Left out {len(few)} arms with fewer than {least} prompts: {names}")
    arms = [arm for arm in table.arms if arm not in few and arm not in named]
    if len(arms) < 2:
        raise OutcomeError(
            f"one arm only: there is nothing to choose between (need {least} prompts for each of two efforts)"
        )
    table = table.columns(arms)
    for line in table.unlike(arms):
        say(f"Careful: {line}")
    return table.rows(np.asarray((~np.isnan(table.correct)).any(axis=1)))


def _with_levels_as_budgets(table: Outcomes, say: Callable[[str], None]) -> Outcomes:
    """The table with named levels as the budgets that they stand for, where their model has no arm of that budget."""
    arms = list(table.arms)
    for at, arm in enumerate(table.arms):
        budget = arm.as_budget
        if budget is not None and budget not in arms:
            arms[at] = budget
    renamed = dict(zip(table.arms, arms, strict=True))
    levels = sorted(arm.name for arm, new in renamed.items() if arm != new)
    if not levels:
        return table
    say(f"Took {len(levels)} named efforts for the budgets they stand for: {', '.join(levels[:8])}")
    probes = {renamed[arm]: rows for arm, rows in table.probes.items()}
    counted = {(dataset, renamed[arm]): source for (dataset, arm), source in table.counted.items()}
    return replace(table, arms=tuple(arms), probes=probes, counted=counted)


def ladder(table: Outcomes, weak: Arm, strong: Arm) -> tuple[Outcomes, Arm, Arm]:
    """The table with named levels as the budgets that they stand for, and what two of its arms are then called."""
    table = _with_levels_as_budgets(table, lambda line: None)
    weak, strong = (arm.as_budget if arm.as_budget in table.arms else arm for arm in (weak, strong))
    return table, weak, strong


def without_test_prompts(table: Outcomes, say: Callable[[str], None]) -> Outcomes:
    """The table without prompts marked as test, and without any prompt that asks the same question as one of those."""
    test = np.array([prompt.test for prompt in table.prompts])
    if not test.any():
        return table
    say(f"Held out {int(test.sum())} of {len(table)} prompts, marked router_split=test, for judging the router")
    test_stems = {prompt.stem for prompt in table.prompts if prompt.test}
    duplicates = np.array([not prompt.test and prompt.stem in test_stems for prompt in table.prompts])
    if duplicates.any():
        say(f"Left out {int(duplicates.sum())} prompts with the same question as one marked router_split=test")
    return table.rows(~test & ~duplicates)


def with_generic(table: Outcomes) -> Outcomes:
    """The table with two additional arms: model `*` without and with thinking, the mean over all models per prompt."""
    blocks = {"correct": [table.correct], "completion": [table.completion], "thinking": [table.thinking]}
    arms = list(table.arms)
    for mode in ("nothink", "think"):
        columns = [j for j, arm in enumerate(table.arms) if arm.mode == mode]
        if not columns:
            continue
        arms.append(Arm(GENERIC, mode))
        for name, block in blocks.items():
            block.append(row_means(getattr(table, name)[:, columns])[:, None])
    correct, completion, thinking = (np.hstack(block) for block in blocks.values())
    return Outcomes(table.prompts, tuple(arms), correct, completion, thinking, table.probes)
