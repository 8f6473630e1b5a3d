"""The one row of a request, out of what was recorded of it."""

from __future__ import annotations

import time
from typing import Any

import orjson

from gateway.core.efforts import words
from gateway.core.forecast import EffortForecast, Forecast
from gateway.core.prices import PRICES, Prices
from gateway.core.record import Record
from gateway.core.usage import Usage
from gateway.execution.degraded import degraded
from gateway.execution.length_loss import lost_to_length
from gateway.execution.outcome import enforced
from gateway.execution.probe.result import ProbeResult
from gateway.execution.recorder import Recorder
from gateway.execution.report import notes
from gateway.execution.settlement import cost
from gateway.execution.streaming.budget_check import BudgetCheck


def make_record(recorder: Recorder, checked: BudgetCheck, counted: Usage, config: str | None = None) -> Record:
    """`counted` are the tokens that it was charged for."""
    facts, call, decision, plan = recorder.facts, recorder.call, recorder.decision, recorder.plan
    assignment, error = recorder.assignment, recorder.error
    applied, said, counts = plan.applied if plan else None, notes(recorder), recorder.counts
    return Record(
        id=facts.id,
        request_id=facts.request_id,
        time=facts.at,
        dialect=facts.dialect,
        status=recorder.status,
        model=recorder.model,
        arm=assignment.arm.name if assignment else None,
        deployment=plan.deployment.name if plan else None,
        requested=call.effort_word if call and call.passthrough is None else None,
        decided=words(decision.effort) if decision else None,
        applied=plan.words if plan else None,
        budget=applied.budget if applied else None,
        reason=decision.reason if decision else None,
        propensity=decision.propensity if decision else None,
        price_token=decision.prices.token if decision else None,
        price_second=decision.prices.second if decision else None,
        prices=_prices(decision.prices) if decision else None,
        forecast=_rows(decision.forecast) if decision else None,
        router=recorder.router,
        unit=assignment.unit if assignment else None,
        experiment=assignment.experiment if assignment else None,
        notes="; ".join(said) if said else None,
        error_type=error.type if error else None,
        error_code=error.code if error else None,
        prompt_tokens=counted.prompt_tokens,
        completion_tokens=counted.completion_tokens,
        reasoning_tokens=counted.reasoning_tokens,
        ttft=counts.first_token - facts.started if counts.first_token else None,
        latency=time.perf_counter() - facts.started,
        decision_ms=recorder.decision_s * 1000 if recorder.decision_s is not None else None,
        streamed=call.stream if call else False,
        finish_reason=recorder.finish_reason,
        client_gone=recorder.client_gone,
        key=facts.principal.key,
        cost=cost(recorder, counted),
        queued_ms=_queued_ms(recorder),
        enforced=enforced(plan),
        **_checked(checked),
        **_probe(recorder.probe),
        user=assignment.user if assignment else None,
        session=assignment.session if assignment else None,
        answer_id=(call.answer_id if call else None) or counts.answer_id,
        config=config,
        cached_tokens=counts.usage.cached_tokens,
        degraded=degraded(recorder, checked),
        probe_value=_probe_value(recorder),
        team=facts.principal.team,
        lost_to_length=lost_to_length(recorder, checked) or None,
        first_answer_ms=(counts.first_answer - facts.started) * 1000 if counts.first_answer else None,
        paired_with=facts.paired_with,
        baseline=_baseline(recorder.baseline),
    )


def with_features(record: Record, recorder: Recorder) -> Record:
    """With what the router read of the request, for learning."""
    forecast = recorder.decision.forecast if recorder.decision is not None else None
    call = recorder.call
    if forecast is None or forecast.features is None or call is None or not call.learns:
        return record
    return record._replace(features=forecast.features())


def _checked(checked: BudgetCheck) -> dict[str, Any]:
    return {
        "used": checked.used,
        "verdict": checked.verdict,
        "used_from": checked.used_from,
        "exceeded": checked.over or None,
    }


def _queued_ms(recorder: Recorder) -> float | None:
    """What it waited for its key's quota and for a place; None if it did not wait."""
    place = recorder.place
    queued_s = recorder.facts.principal.waited_s + (place.queued_s if place else 0.0)
    return queued_s * 1000 if queued_s else None


def _probe(result: ProbeResult | None) -> dict[str, Any]:
    """The columns of a probe; none where there was none."""
    if result is None:
        return {}
    probe = result.probe
    return {
        "probe": result.outcome,
        "probe_tokens": result.tokens,
        "probe_mean": probe.mean if probe else None,
        "probe_min": probe.least if probe else None,
        "probe_first_margin": probe.first_margin if probe else None,
        "probe_truncated": probe.truncated if probe else None,
        "probe_ms": result.seconds * 1000,
        "forecast_before": _rows(result.before),
    }


def _rows(forecast: Forecast | None) -> str | None:
    """JSON rows of effort, P(correct), thinking tokens, answer tokens and seconds, exact enough to decide by again.

    Tokens that would be read again come last, where there are any.
    """
    if forecast is None:
        return None
    rows = [[words(one.effort), *(one[1:] if one.reread_tokens else one[1:-1])] for one in forecast.efforts]
    return orjson.dumps(rows).decode()


def _probe_value(recorder: Recorder) -> str | None:
    """JSON of what the decision for or against a probe looked at, for estimates of other policies; None where nobody
    explored, or no probe was possible. `outcomes` are equally likely values of P(correct) after a probe.
    """
    decision, probe = recorder.decision, recorder.probe
    if decision is None or not decision.prices.z:
        return None
    forecast = probe.before if probe else decision.forecast
    value = forecast.probe_value if forecast else None
    return None if value is None else orjson.dumps({"always": value.always, "outcomes": value.outcomes}).decode()


def _baseline(found: EffortForecast | None) -> str | None:
    return None if found is None else orjson.dumps(found[1:5]).decode()


def _prices(prices: Prices) -> str | None:
    """JSON: what each setter adds to the price of a token, a second and a token read again, in P(correct); and where
    there was a draw of exploration: `z`, its `spread` (share and steps) and `most_loss`.
    """
    if not prices.parts:
        return None
    parts: dict[str, Any] = {
        part.setter: {name: getattr(part, name) for name in PRICES if getattr(part, name)} for part in prices.parts
    }
    if prices.z:
        parts["z"] = prices.z
    if prices.spread.steps:
        parts |= {"spread": [*prices.spread], "most_loss": prices.most_loss}
    return orjson.dumps(parts).decode()
