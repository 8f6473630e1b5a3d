"""Training recipes, and the choice of the one whose forecasts of left-out prompts are best for a table.

With one sample per outcome, outcomes are mostly noise, and trees that suit clean outcomes overfit it.
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

# For outcomes that would come out alike again, and for those that might not.
RECIPES: Mapping[str, Settings] = {
    "sharp": Settings(),
    "steady": Settings(
        boosting=Boosting(rounds=150, rate=0.06, leaves=8, least_rows=25, shrink=10.0), fitted=4, pooled=True
    ),
}


def chosen(recipe: Recipe, expects: Expects, changes: Mapping[str, Any] | None = None) -> Choose:
    """How to find the settings for a table; `auto` takes the recipe with the least error on a fold of it left out.

    `changes` to the settings of any recipe. Where new tasks are expected there are no directions of most variance:
    they tell known kinds of work apart, and of unknown ones nothing.
    """
    more = {"expects": expects, **({"directions": 0} if expects == "tasks" else {}), **(changes or {})}
    known = {name: replace(found, **more) for name, found in RECIPES.items()}

    def choose(table: Outcomes, say: Callable[[str], None]) -> Settings:
        if recipe != "auto":
            return known[recipe]
        rated = {name: train.loss(table, found) for name, found in known.items()}
        best = min(rated, key=lambda name: rated[name])
        losses = ", ".join(f"{name} {loss:.4f}" for name, loss in rated.items())
        say(f"Recipe {best}: squared error on a fold left out: {losses}")
        return known[best]

    return choose
