"""Observations to learn from, out of records and their outcomes."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from gateway.core.deployment import Deployment
from gateway.core.efforts import NO_THINKING, Effort, from_budget, words
from gateway.core.outcome_row import OutcomeRow
from gateway.core.record import Record
from gateway.core.record_query import RatedRecord
from router_model.learning.observation import Judgement, Observation, combined
from router_model.learning.source_weights import Claim, SourceWeight, source_weights
from router_model.model import kept_features
from router_model.model.kept_features import KeptFeatures
from router_model.model.probe import Probe

OK = 200
# Metrics that say whether an answer was right, or of use.
METRICS = frozenset({"outcome", "implicit"})
# Of equal prompts at one effort the newest count, and of all requests: so much memory does a history take at most.
EQUAL, MOST = 200, 200_000


class _Answer(NamedTuple):
    """A record that can be learned from, without what is not needed."""

    id: str
    request: str
    features: KeptFeatures
    deployment: str
    effort: Effort
    record_time: float
    key: str | None
    completion: float | None
    thinking: float | None
    probe: tuple[float, ...] | None
    skipped: float | None
    judgements: tuple[Judgement, ...]


@dataclass(frozen=True, slots=True)
class Observed:
    """`weights` of sources are measured by how far they agree; `counts` says how often each spoke; `left_out` how many
    records were, by reason.
    """

    observations: tuple[Observation, ...]
    weights: Mapping[str, SourceWeight]
    counts: Mapping[str, int]
    left_out: Counter[str]

    def sources(self) -> list[dict[str, Any]]:
        """For cards: what each source has said, and what that counted."""
        return [
            {
                "source": source,
                "outcomes": count,
                "weight": round(self.weights[source].weight, 4),
                "agreement": self.weights[source].agreement,
            }
            for source, count in sorted(self.counts.items())
        ]


def observed(rated: Iterable[RatedRecord], encoding: str, deployments: Mapping[str, Deployment]) -> Observed:
    """Of one model. `encoding` is that of its configured router: what another has read cannot be compared."""
    left_out: Counter[str] = Counter()
    newest: deque[_Answer] = deque(maxlen=MOST)
    equal: Counter[tuple[str, Effort]] = Counter()
    features: dict[str, KeptFeatures] = {}
    for record, outcomes in rated:
        answer = _answer(record, outcomes, encoding, deployments, features, left_out)
        if answer is None:
            continue
        group = answer.features.group, answer.effort
        equal[group] += 1
        if equal[group] > EQUAL:
            left_out["the same prompt came many times"] += 1
            continue
        newest.append(answer)
    claims = [Claim(one.id, each.source, each.score) for one in newest for each in one.judgements]
    weights = source_weights(claims)
    found = (_observation(one, weights, deployments) for one in newest)
    counts = Counter(claim.source for claim in claims)
    return Observed(tuple(one for one in found if one is not None), weights, counts, left_out)


def effort_of(word: str | None) -> Effort | None:
    """None: it is no effort's word."""
    if word == words(NO_THINKING):
        return NO_THINKING
    if word == "unlimited":
        return from_budget(None)
    return from_budget(int(word)) if word is not None and word.isdecimal() else None


def _answer(
    record: Record,
    outcomes: tuple[OutcomeRow, ...],
    encoding: str,
    deployments: Mapping[str, Deployment],
    features: dict[str, KeptFeatures],
    left_out: Counter[str],
) -> _Answer | None:
    judgements = tuple(
        Judgement(one.source, one.score, one.weight, one.time)
        for one in outcomes
        if one.metric in METRICS and one.score is not None
    )
    request = record.paired_with or record.id
    kept = kept_features.load(record.features) if record.features else None
    if kept is not None and record.paired_with is None and judgements:
        features[record.id] = kept
    kept = kept or features.get(request)
    effort = effort_of(record.applied) or effort_of(record.decided)
    for why, wrong in (
        ("no outcome is known", not judgements),
        ("it failed", record.status != OK),
        ("no features were kept", kept is None),
        ("another router has read it", kept is not None and kept.encoding != encoding),
        ("its deployment is gone", record.deployment not in deployments),
        ("nothing was decided", effort is None),
    ):
        if wrong:
            left_out[why] += 1
            return None
    assert kept is not None and effort is not None and record.deployment is not None
    return _Answer(
        record.id,
        request,
        kept,
        record.deployment,
        effort,
        record.time,
        record.key,
        record.completion_tokens,
        record.used if record.used is not None else record.reasoning_tokens,
        _probe(record),
        _skipped(record),
        judgements,
    )


def _observation(
    one: _Answer, weights: Mapping[str, SourceWeight], deployments: Mapping[str, Deployment]
) -> Observation | None:
    """None: nobody who said anything of it counts."""
    right = combined(one.judgements, weights)
    if right is None:
        return None
    return Observation(
        request=one.request,
        features=one.features,
        model=deployments[one.deployment].router_name,
        think=one.effort.think,
        budget=one.effort.budget if one.effort.think else None,
        right=right[0],
        weight=right[1],
        time=one.record_time,
        key=one.key,
        completion=one.completion,
        thinking=one.thinking,
        probe=one.probe,
        skipped=one.skipped,
    )


def _probe(record: Record) -> tuple[float, ...] | None:
    if record.probe not in ("kept", "thrown_away"):
        return None
    found = Probe.of_row(record._asdict())
    return None if found is None else tuple(found.inputs())


def _skipped(record: Record) -> float | None:
    """P(correct) of an answer without thinking that was thrown away, as forecast once its probe was known."""
    if record.probe != "thrown_away" or record.forecast is None:
        return None
    rows: list[list[Any]] = orjson.loads(record.forecast)
    return next((float(p) for word, p, *_ in rows if word == words(NO_THINKING)), None)
