"""The settings of a training run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from router_model.data.outcomes import Outcomes
from router_model.features.request import FEATURES_VERSION
from router_model.training.boosting import Boosting

# A head needs at least this many prompts to generalise: 50 collected ones, of which some are held out.
LEAST_PROMPTS = 30


@dataclass(frozen=True, slots=True)
class Settings:
    """How to train.

    `directions` and `fitted`: the number of text features, by variance and by outcomes. `least_uses`: terms in fewer
    prompts are dropped. `attacked`: the number of augmented copies of each prompt, with meaningless words around the
    question (`adversarial.attacked`). `least_prompts`: efforts, and probes of an effort, with fewer are left out.
    `prior_precision`: the precision of the prior around an identity calibration. `expects`: whether requests will be
    new phrasings of known tasks, or new tasks. `pooled`: before any probe, a head's logit is a weighted sum of its own,
    those of the same model's other efforts, and those of model `*`. `ood_share`: the share of familiar requests, the
    most novel, that counts as out of distribution (OOD); None: learned from left-out tasks. `by_probability`: before
    any probe, calibrate probabilities instead of logits, which keeps the order of gains. `features`: their version.
    """

    boosting: Boosting = field(default_factory=Boosting)
    directions: int = 12
    fitted: int = 0
    least_uses: int = 4
    attacked: int = 1
    folds: int = 4
    seed: int = 7
    least_prompts: int = LEAST_PROMPTS
    prior_precision: float = 0.1
    expects: Literal["phrasings", "tasks"] = "phrasings"
    pooled: bool = False
    ood_share: float | None = None
    by_probability: bool = False
    features: int = FEATURES_VERSION


Choose = Callable[[Outcomes, Callable[[str], None]], Settings]
