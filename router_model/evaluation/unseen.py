"""Selects the prompts on which a router can be judged: those that it was not trained on."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from router_model.data.outcomes import Outcomes
from router_model.model.artifact import fingerprint
from router_model.model.predict import Predictor

# With fewer unseen prompts than this, no interval is narrow enough to say anything.
LEAST = 20


class Judged(NamedTuple):
    """The prompts to evaluate on, how many of them were in the training data, and a note on what was set aside."""

    table: Outcomes
    seen: int
    notes: list[str]


def judged(predictor: Predictor, table: Outcomes, include_seen: bool) -> Judged:
    """The prompts of a table that the router was not trained on; all of them, marked, if those are too few."""
    stems = np.array([fingerprint(prompt.stem) for prompt in table.prompts], np.uint64)
    seen = np.isin(stems, predictor.artifact.seen)
    trained, fresh = int(seen.sum()), int((~seen).sum())
    if not trained:
        return Judged(table, 0, [])
    if fresh < LEAST or include_seen:
        few = "" if include_seen else f"; only {fresh} are unseen, and it takes {LEAST} to judge a router"
        note = f"{trained} of {len(table)} prompts were in the router's training data: their figures are optimistic"
        return Judged(table, trained, [note + few])
    return Judged(
        table.rows(~seen), 0, [f"{trained} of {len(table)} prompts set aside: the router was trained on them"]
    )
