"""What the prior assumes where nobody measured anything: the settings of its training."""

from __future__ import annotations

from dataclasses import dataclass

# By grade of a prompt, 0 to 3.
ByGrade = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Assumptions:
    """Assumed weights, all weak: outcomes of a deployment overrule them.

    By grade: `need` is the scale on which prompts are ordered; `right` P(correct) without thinking, `gain` what
    thinking adds to it; `thinking` the median length of a whole thought and `answer` that of an answer, in tokens;
    `traffic` the share of everyday requests. `spread` is the standard deviation of the logarithm of a thought's length.

    `kinds_weight`: of all prompts of published kinds together, in graded prompts. `published_prior`: so many points of
    gain are assumed of a kind, as if `published_prior_rows` clean comparisons had shown them. `second_hand` and
    `unclean` are the weights of published results that others transcribed, and of pairs that differ in more than
    thinking.

    `dataset_weight`: of each public data set with outcomes by prompt, in graded prompts; `traffic_prompts`: how many
    prompts of everyday traffic the dial is set by. `step`: the power of the share of thoughts within a budget that
    gives the share of the gain; `ridge`: how strongly weights are held to nothing.
    """

    need: ByGrade = (-0.2, 0.2, 0.9, 1.9)
    right: ByGrade = (0.98, 0.95, 0.80, 0.45)
    gain: ByGrade = (0.0, 0.01, 0.15, 0.40)
    thinking: ByGrade = (700.0, 1100.0, 1800.0, 2800.0)
    answer: ByGrade = (80.0, 200.0, 400.0, 600.0)
    traffic: ByGrade = (0.35, 0.3, 0.2, 0.15)
    spread: float = 0.8
    kinds_weight: float = 1250.0
    published_prior: float = 2.0
    published_prior_rows: float = 3.0
    second_hand: float = 0.5
    unclean: float = 0.5
    dataset_weight: float = 0.5
    traffic_prompts: int = 2000
    step: float = 1.5
    ridge: float = 0.3
    folds: int = 5
    seed: int = 7
    ood_share: float = 0.02
