"""How well the need orders prompts that it was not fitted on: folds, and whole kinds and languages left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from router_model.adapting import need_fitting
from router_model.adapting.assumptions import Assumptions
from router_model.adapting.graded import Graded
from router_model.adapting.need_fitting import Material

Matrix = NDArray[np.float64]
# Written and published kinds that are one kind of work under two names: left out together.
SAME_KIND = {
    "grade_school_maths": "word_problem",
    "multilingual_maths": "word_problem",
    "tool_calling": "tool_use",
    "knowledge_mcq": "knowledge",
    "code_competitive": "code_design",
}


def by_fold(prompts: Sequence[Graded], material: Material, assumed: Assumptions) -> Matrix:
    """The need of each written prompt by a fit without its fold; NaN for others, which are in every fit."""
    fold = np.random.default_rng(assumed.seed).integers(0, assumed.folds, len(prompts)).astype(str)
    own = np.array([one.grade is not None for one in prompts])
    groups = np.where(own, fold, "")
    return need_fitting.without(material, groups, groups, assumed)


def report(
    prompts: Sequence[Graded], material: Material, needs: Matrix, assumed: Assumptions, say: Callable[[str], None]
) -> dict[str, Any]:
    """Spearman's correlation of the need with the grades of written prompts that were left out, by what was."""
    grade = np.array([-1 if one.grade is None else one.grade for one in prompts])
    own = grade >= 0
    kinds = np.array([SAME_KIND.get(one.kind, one.kind) for one in prompts])
    languages = np.array([one.language for one in prompts])
    found: dict[str, Any] = {"folds": round(_rho(needs[own], grade[own]), 3)}
    say(f"need and grade, rank correlation: folds {found['folds']}")
    for name, groups in (("kinds", kinds), ("languages", languages)):
        left = need_fitting.without(material, np.where(own, groups, ""), groups, assumed)
        each = {
            group: round(_rho(left[at], grade[at]), 3)
            for group in sorted({*groups[own]})
            for at in [own & (groups == group)]
        }
        worst = min(each, key=lambda group: each[group])
        found[name] = {
            "pooled": round(_rho(left[own], grade[own]), 3),
            "mean": round(float(np.mean([*each.values()])), 3),
            "each": each,
        }
        say(
            f"  {name} left out one by one: {found[name]['pooled']} over all, within each "
            f"{found[name]['mean']} on average, worst {worst} {each[worst]}"
        )
    return found


def _rho(x: Matrix, y: NDArray[np.int64]) -> float:
    return float(spearmanr(x, y).statistic)
