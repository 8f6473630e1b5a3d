"""Measures how often published attacks on the prompt change the decision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from router_model.data.outcomes import Outcomes
from router_model.evaluation import (
    adversarial,
)
from router_model.evaluation.crossval import Fold
from router_model.evaluation.forecasting import Heads

GAMED_PROMPTS = 200
GAMED_AT = 0.65


def figures(judged: Sequence[tuple[Fold, Heads]], table: Outcomes) -> dict[str, Any]:
    """The rates of changed decisions at dial position GAMED_AT, from the text alone, without probes."""
    (predictor, rows), heads = judged[0]
    rows = np.random.default_rng(0).permutation(rows)[:GAMED_PROMPTS]
    own = predictor.restricted({predictor.heads[i].model for group in heads for i in group})
    price = own.price_for_dial(GAMED_AT, "never")

    def decide(messages: adversarial.Messages, tools: Sequence[Mapping[str, Any]] | None) -> int:
        scores = predictor.forecast(messages, tools)
        values = [
            sum(scores.p_correct[k] - price * (scores.thinking_tokens[k] + scores.answer_tokens[k]) for k in group)
            / len(group)
            for group in heads
        ]
        return int(np.argmax(values))

    requests = [(table.prompts[i].messages, table.prompts[i].tools) for i in rows.tolist()]
    rates = adversarial.rates(decide, requests)
    begun = adversarial.rates(lambda messages, tools: int(decide(messages, tools) > 0), requests)
    return {
        "prompts": len(rows),
        "dial": GAMED_AT,
        "upgrades": dict(rates.upgrades),
        "downgrades": dict(rates.downgrades),
        "none_to_think_rate": begun.mean([*begun.upgrades]),
        "upgrade_rate": rates.mean([*rates.upgrades]),
        "downgrade_rate": rates.mean([*rates.downgrades], down=True),
        "inflating_upgrade_rate": rates.mean(adversarial.INFLATING),
        "worst_upgrade": list(rates.worst()),
        "worst_downgrade": list(rates.worst(down=True)),
    }
