"""Observations to learn from, out of records and their outcomes."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from gateway.core.deployment import Deployment
from gateway.core.efforts import NO_THINKING, Effort, from_budget, words
from gateway.core.record import Record
from gateway.core.record_query import RatedRecord
from router_model.learning.observation import Judgement, Observation, combined
from router_model.learning.pairs import PairKnowledge, pair_knowledge
from router_model.learning.source_weights import Claim, SourceWeight, kind_of, source_weights
from router_model.model import kept_features
from router_model.model.kept_features import KeptFeatures
from router_model.model.probe import Probe

OK = 200
# Metrics that say whether an answer was right, of use, or the better one; and those of pairs: whether it differs from
# one at another effort, or at the same.
ABSOLUTE, CHANGED, VARIED = frozenset({"outcome", "implicit", "preferred"}), "changed", "varied"
# Whose word on both answers of a pair says which is better.
BETTER = frozenset({"verifier", "person", "shadow:judge"})
# Of equal prompts at one effort so many count, and of all answers the newest: that bounds the memory of a history.
EQUAL, MOST = 200, 200_000


class _Answer(NamedTuple):
    """A record that can be learned from, without what is not needed. `request` is the client's."""

    id: str
    request: str
    features: KeptFeatures | None
    deployment: str
    effort: Effort
    time: float
    key: str | None
    completion: float | None
    thinking: float | None
    probe: tuple[float, ...] | None
    skipped: float | None
    judgements: tuple[Judgement, ...]
    changed: tuple[Judgement, ...]
    varied: tuple[float, ...]

    @property
    def known_to(self) -> dict[str, float]:
        """The scores of sources that are better than a shadow."""
        return {one.source: one.score for one in self.judgements if kind_of(one.source) in BETTER}


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


def observed(
    rated: Iterable[RatedRecord],
    encoding: str,
    deployments: Mapping[str, Deployment],
    learns: Callable[[str | None], bool] = lambda key: True,
) -> Observed:
    """Of one model. `encoding` is that of its configured router: what another has read cannot be compared. `learns`:
    whether a key, by its id, lets its requests be learned from now.
    """
    left_out: Counter[str] = Counter()
    answers = _answers(rated, encoding, deployments, learns, left_out)
    pairs = [*_pairs(answers)]
    claims = [Claim(one.id, each.source, each.score) for one in answers for each in one.judgements]
    claims += (claim for none, think in pairs for claim in _claims_of(none, think))
    weights = source_weights(claims)
    found = {one.id: one for one in answers}
    found |= _with_pairs(pairs, _knowledge(answers, pairs))
    features = {one.request: one.features for one in answers if one.features is not None}
    made = (_observation(one, features.get(one.request), weights, deployments, left_out) for one in found.values())
    observations = tuple(one for one in made if one is not None)
    counts = Counter(each.source for one in answers for each in (*one.judgements, *one.changed))
    return Observed(observations, weights, counts, left_out)


def effort_of(word: str | None) -> Effort | None:
    """None: it is no effort's word."""
    if word == words(NO_THINKING):
        return NO_THINKING
    if word == "unlimited":
        return from_budget(None)
    return from_budget(int(word)) if word is not None and word.isdecimal() else None


def _answers(
    rated: Iterable[RatedRecord],
    encoding: str,
    deployments: Mapping[str, Deployment],
    learns: Callable[[str | None], bool],
    left_out: Counter[str],
) -> deque[_Answer]:
    newest: deque[_Answer] = deque(maxlen=MOST)
    equal: Counter[tuple[str, Effort]] = Counter()
    may_learn: dict[str | None, bool] = {}
    for one in rated:
        record = one.record
        if record.key not in may_learn:
            may_learn[record.key] = learns(record.key)
        if not may_learn[record.key]:
            left_out["their key has opted out"] += 1
            continue
        answer = _answer(one, encoding, deployments, left_out)
        if answer is None:
            continue
        if answer.features is not None:
            group = answer.features.group, answer.effort
            equal[group] += 1
            if equal[group] > EQUAL:
                left_out["the same prompt came many times"] += 1
                continue
        newest.append(answer)
    return newest


def _answer(
    rated: RatedRecord, encoding: str, deployments: Mapping[str, Deployment], left_out: Counter[str]
) -> _Answer | None:
    record, outcomes = rated
    kept = kept_features.load(record.features) if record.features else None
    effort = effort_of(record.applied) or effort_of(record.decided)
    for why, wrong in (
        ("they failed", record.status != OK),
        ("no features were kept", kept is None and record.paired_with is None),
        ("another router has read them", kept is not None and kept.encoding != encoding),
        ("their deployment is gone", record.deployment not in deployments),
        ("nothing was decided", effort is None),
    ):
        if wrong:
            left_out[why] += 1
            return None
    assert effort is not None and record.deployment is not None
    known = (one for one in outcomes if 0.0 <= one.score <= 1.0)
    said = [(one.metric, Judgement(one.source, one.score, one.weight, one.time)) for one in known]
    return _Answer(
        record.id,
        record.paired_with or record.id,
        kept,
        record.deployment,
        effort,
        record.time,
        record.key,
        record.completion_tokens,
        record.used if record.used is not None else record.reasoning_tokens,
        _probe(record),
        _skipped(record),
        tuple(one for metric, one in said if metric in ABSOLUTE),
        tuple(one for metric, one in said if metric == CHANGED),
        tuple(one.score for metric, one in said if metric == VARIED),
    )


def _pairs(answers: Iterable[_Answer]) -> Iterator[tuple[_Answer, _Answer]]:
    """Answers to one request without thinking and with it, of which one is said to differ from the other, or both are
    known to somebody."""
    by_request: dict[str, list[_Answer]] = defaultdict(list)
    for one in answers:
        by_request[one.request].append(one)
    for given in by_request.values():
        none = next((one for one in given if not one.effort.think), None)
        think = next((one for one in given if one.effort.think), None)
        if none is not None and think is not None:
            yield none, think


def _changed(none: _Answer, think: _Answer) -> tuple[Judgement, ...]:
    return none.changed or think.changed


def _claims_of(none: _Answer, think: _Answer) -> Iterator[Claim]:
    """Of the pair: whether thinking has changed the answer."""
    subject = f"{none.request}:{CHANGED}"
    yield from (Claim(subject, one.source, one.score) for one in _changed(none, think))
    for source, score in none.known_to.items():
        if source in think.known_to:
            yield Claim(subject, source, float(abs(score - think.known_to[source]) >= 0.5))


def _knowledge(answers: Iterable[_Answer], pairs: Sequence[tuple[_Answer, _Answer]]) -> PairKnowledge:
    differences = [
        think.known_to[source] - score
        for none, think in pairs
        for source, score in none.known_to.items()
        if source in think.known_to
    ]
    think_right = [score for one in answers if one.effort.think for score in one.known_to.values()]
    changed = [one.score for none, think in pairs for one in _changed(none, think)]
    varied = [score for one in answers for score in one.varied]
    return pair_knowledge(changed, varied, differences, think_right)


def _with_pairs(pairs: Iterable[tuple[_Answer, _Answer]], known: PairKnowledge) -> dict[str, _Answer]:
    """The answers of pairs by their ids, with what the pair says of each that no better source has spoken of."""
    found = {}
    for none, think in pairs:
        for one in _changed(none, think):
            for answer, score in zip((none, think), known.scores(one.score), strict=True):
                if not answer.known_to:
                    found[answer.id] = answer._replace(judgements=(one._replace(score=score),))
    return found


def _observation(
    one: _Answer,
    features: KeptFeatures | None,
    weights: Mapping[str, SourceWeight],
    deployments: Mapping[str, Deployment],
    left_out: Counter[str],
) -> Observation | None:
    """None: nobody who said anything of it counts."""
    right = combined(one.judgements, weights)
    if right is None or features is None:
        left_out["no outcome is known" if right is None else "no features were kept"] += 1
        return None
    return Observation(
        request=one.request,
        features=features,
        model=deployments[one.deployment].router_name,
        think=one.effort.think,
        budget=one.effort.budget if one.effort.think else None,
        right=right[0],
        weight=right[1],
        time=one.time,
        key=one.key,
        completion=one.completion,
        thinking=one.thinking,
        probe=one.probe,
        skipped=one.skipped,
        background=one.id != one.request,
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
    return forecast_of(record, words(NO_THINKING))


def forecast_of(record: Record, effort: str | None = None) -> float | None:
    """P(correct) as forecast of the effort, by its word, or of the decided one; None: there was no forecast."""
    wanted = effort or record.decided
    rows: list[list[Any]] = orjson.loads(record.forecast) if record.forecast else []
    return next((float(p) for word, p, *_ in rows if word == wanted), None)
