"""Training recipes, and the choice of the one with the best held-out forecasts for a table.

Outcomes with one sample each are mostly noise, which trees for clean outcomes would overfit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal, get_args

from router_model.data.outcomes import Outcomes
from router_model.training import train
from router_model.training.boosting import Boosting
from router_model.training.settings import Choose, Settings

Recipe = Literal["sharp", "steady", "auto"]
Expects = Literal["phrasings", "tasks"]
NAMES: tuple[str, ...] = get_args(Recipe)

# For reproducible outcomes (`sharp`), and for noisy ones (`steady`).
RECIPES: Mapping[str, Settings] = {
    "sharp": Settings(),
    "steady": Settings(
        boosting=Boosting(rounds=150, rate=0.06, leaves=8, least_rows=25, shrink=10.0), fitted=4, pooled=True
    ),
}

# Directions of maximal variance distinguish known kinds of work, and do not help on unknown ones. Forecasts for unknown
# tasks are shrunk a lot, and on logits that loses which prompts are too easy, or too hard, to gain anything.
_OF_TASKS: Mapping[str, Any] = {"directions": 0, "by_probability": True}


def chosen(recipe: Recipe, expects: Expects, changes: Mapping[str, Any] | None = None) -> Choose:
    """A function that chooses the settings for a table; `auto` takes the recipe with the least error on a held-out
    fold.

    `changes` apply to the settings of any recipe, those of `_OF_TASKS` if new tasks are expected.
    """
    more = {"expects": expects, **(_OF_TASKS if expects == "tasks" else {}), **(changes or {})}
    known = {name: replace(found, **more) for name, found in RECIPES.items()}

    def choose(table: Outcomes, say: Callable[[str], None]) -> Settings:
        if recipe != "auto":
            return known[recipe]
        rated = {name: train.loss(table, found) for name, found in known.items()}
        best = min(rated, key=lambda name: rated[name])
        losses = ", ".join(f"{name} {loss:.4f}" for name, loss in rated.items())
        say(f"Recipe {best}: squared error on a held-out fold: {losses}")
        return known[best]

    return choose
