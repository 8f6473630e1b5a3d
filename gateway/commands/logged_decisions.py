"""Records of decided requests as the arrays that off-policy estimates are made from."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from gateway.core.decision_row import DecisionRow
from gateway.core.efforts import NO_THINKING, Effort, from_budget, size, words
from gateway.core.prices import EXPLORE
from gateway.routing.catalogue import PublicModel
from gateway.routing.policies.protocol import Policy
from router_model.offpolicy.log_columns import Forecasts, Prices, Probes
from router_model.offpolicy.logged import Logged
from router_model.offpolicy.spread import FIXED, Spread

F64 = NDArray[np.float64]
# The policy chose by a forecast and its prices; it applied a default that no price would have changed.
BY_PRICE, BY_DEFAULT = ("router", "probe", "explore"), ("fallback", "policy")


class LoggedDecisions(NamedTuple):
    """`efforts` are the columns of `logged`, weakest first; `others` [rows] is what price setters beside the policy
    added to the price of a token; `arms` [rows] the arm of each; `left_out` how many records were, by reason.
    """

    logged: Logged
    efforts: tuple[Effort, ...]
    others: F64
    arms: list[str]
    left_out: Counter[str]


class _Parsed(NamedTuple):
    """One usable record. Forecasts are by effort: P(correct), thinking tokens, answer tokens, seconds, and tokens to
    read again where there are any. `token` and `reread` are base prices, without the factor of exploration.
    """

    row: DecisionRow
    before: dict[Effort, list[float]]
    after: dict[Effort, list[float]]
    chosen: Effort
    token: float
    other: float
    reread: float
    spread: Spread
    most_loss: float
    outcomes: list[float] | None
    always: bool


def read(model: PublicModel, rows: Iterable[DecisionRow]) -> LoggedDecisions:
    """The decisions of a model by the policy and the router that it is configured with.

    Left out are requests that named their effort, decisions by another router, and what no forecast was made for.
    """
    left_out: Counter[str] = Counter()
    parsed: list[_Parsed] = []
    versions = model.versions
    for row in rows:
        why = _unusable(row, versions)
        if why is not None:
            left_out[why] += 1
            continue
        one = _parsed(row)
        if one.chosen in one.before:
            parsed.append(one)
        else:
            left_out["the effort has no forecast"] += 1
    efforts = tuple(sorted({effort for one in parsed for effort in one.before}, key=size))
    logged = _logged(model, parsed, efforts)
    return LoggedDecisions(
        logged, efforts, np.array([one.other for one in parsed]), [one.row.arm or "" for one in parsed], left_out
    )


def _unusable(row: DecisionRow, versions: dict[str, str]) -> str | None:
    if row.reason == "client":
        return "the client named the effort"
    if row.arm not in versions:
        return "the arm is gone"
    if row.reason not in BY_PRICE + BY_DEFAULT or row.propensity is None or row.forecast is None:
        return "there was no forecast"
    return None if row.router == versions[row.arm] else "another router decided"


def _parsed(row: DecisionRow) -> _Parsed:
    after = _forecasts(row.forecast)
    before = _forecasts(row.forecast_before) if row.forecast_before else after
    parts: dict[str, Any] = orjson.loads(row.prices) if row.prices else {}
    parts.pop("z", None)
    share, steps = parts.pop("spread", FIXED)
    most_loss = parts.pop("most_loss", math.inf)
    explored = parts.pop(EXPLORE, {}).get("token", 0.0)
    token = (row.price_token or 0.0) - explored
    setters = list(parts.values())
    # The policy's own part is the first.
    other = math.fsum(part.get("token", 0.0) for part in setters[1:])
    reread = math.fsum(part.get("reread", 0.0) for part in setters)
    value = orjson.loads(row.probe_value) if row.probe_value else None
    return _Parsed(
        row,
        before,
        after,
        _effort(row.decided or ""),
        token,
        other,
        reread,
        Spread(share, tuple(steps)),
        most_loss,
        value["outcomes"] if value else None,
        bool(value and value["always"]),
    )


def _forecasts(json: str | None) -> dict[Effort, list[float]]:
    return {_effort(word): numbers for word, *numbers in orjson.loads(json or "[]")}


def _effort(word: str) -> Effort:
    return NO_THINKING if word == words(NO_THINKING) else from_budget(None if word == "unlimited" else int(word))


def _logged(model: PublicModel, parsed: Sequence[_Parsed], efforts: Sequence[Effort]) -> Logged:
    rows, at = len(parsed), {effort: place for place, effort in enumerate(efforts)}
    right, tokens, seconds, other = np.full((4, rows, len(efforts)), np.nan)
    p_after = np.full((rows, len(efforts)), np.nan)
    for place, one in enumerate(parsed):
        allows = model.with_arm(_arm(model, one.row.arm)).policy.allows
        for effort, (p, thinking, answer, wait, *reread) in one.before.items():
            p = p if allows(effort) or effort == one.chosen else np.nan
            column = at[effort]
            right[place, column], tokens[place, column], seconds[place, column] = p, thinking + answer, wait
            other[place, column] = one.reread * reread[0] if reread else 0.0
        if one.row.probe is not None:
            for effort, numbers in one.after.items():
                if effort in at and (allows(effort) or effort == one.chosen):
                    p_after[place, at[effort]] = numbers[0]
    return Logged(
        forecasts=Forecasts(right, tokens, seconds, other),
        probes=_probes(model, parsed, p_after),
        prices=Prices.of(
            rows,
            np.array([one.token for one in parsed]),
            np.array([one.row.price_second or 0.0 for one in parsed]),
            [one.spread for one in parsed],
            np.array([one.most_loss for one in parsed], np.float64),
        ),
        chosen=np.array([at[one.chosen] for one in parsed], np.int64),
        fixed=np.array([one.row.reason in BY_DEFAULT for one in parsed], bool),
        propensity=np.array([one.row.propensity for one in parsed], np.float64),
        outcome=_column([one.row.outcome for one in parsed]),
        tokens=_column([_tokens(one.row) for one in parsed]),
        seconds=_column([one.row.latency for one in parsed]),
        unit=[one.row.unit or place for place, one in enumerate(parsed)],
    )


def _probes(model: PublicModel, parsed: Sequence[_Parsed], p_after: F64) -> Probes:
    quantiles = max((len(one.outcomes) for one in parsed if one.outcomes), default=1)
    outcomes = np.full((len(parsed), quantiles), np.nan)
    for place, one in enumerate(parsed):
        if one.outcomes:
            # Equally likely values: a shorter list stands for the same distribution with each value repeated.
            outcomes[place] = np.array(one.outcomes)[np.arange(quantiles) * len(one.outcomes) // quantiles]
    asked = np.array([one.row.probe is not None for one in parsed], bool)
    policies = [model.with_arm(_arm(model, one.row.arm)).policy for one in parsed]
    always = [one.always or policy.probe_use == "always" for one, policy in zip(parsed, policies, strict=True)]
    may = [_may_probe(one, policy) for one, policy in zip(parsed, policies, strict=True)]
    possible = asked | np.array(may, bool)
    return Probes(possible, np.array(always, bool) & possible, asked, outcomes, p_after)


def _may_probe(one: _Parsed, policy: Policy) -> bool:
    """Whether a probe could have been asked for: it is an answer without thinking, in place of one with."""
    allowed = [effort for effort in one.before if policy.allows(effort)]
    return one.outcomes is not None and policy.probe_use != "never" and len(allowed) > 1 and not allowed[0].think


def _arm(model: PublicModel, name: str | None) -> Any:
    return next(arm for arm in model.arms if arm.name == name)


def _tokens(row: DecisionRow) -> int | None:
    if row.completion_tokens is None:
        return None
    return row.completion_tokens + (0 if row.probe in (None, "kept") else row.probe_tokens or 0)


def _column(values: Sequence[float | None]) -> F64:
    return np.array([np.nan if value is None else value for value in values], np.float64)
