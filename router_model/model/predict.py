"""Forecasts for one request from a router artifact.

Needs NumPy and nothing else: this is what the running gateway imports.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import accumulate
from math import exp, expm1, log1p, sqrt
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from router_model.decision import dial, guarantee, holdout
from router_model.decision.guarantee import Promise
from router_model.decision.holdout import HoldoutTrial
from router_model.decision.probe_policy import Ask
from router_model.decision.risk import Contract
from router_model.features.noise_filter import SUSPECT, filtered
from router_model.features.request import Features, featurize, question_of
from router_model.model import artifact as artifacts
from router_model.model.artifact import Artifact, ArtifactError, Head, Stage
from router_model.model.budget_interpolation import Surface
from router_model.model.probe import STRANGE, UNHEARD_OF, Probe
from router_model.model.scores import Quantiles, Scores
from router_model.model.trees import F32

__all__ = [
    "STRANGE",
    "ArtifactError",
    "Ask",
    "EncodedRequest",
    "Head",
    "HoldoutTrial",
    "Predictor",
    "Probe",
    "Promise",
    "Quantiles",
    "Scores",
    "Surface",
    "load",
]  # fmt: skip

# No forecast of tokens beyond this, whatever the trees extrapolate to.
MOST_TOKENS = 1e6


class EncodedRequest(NamedTuple):
    """A request as the trees read it.

    `novelty` in [0,1]: the share of its terms that the router has never met; `strange`: the probability that it is of a
    kind never met, where that is as likely as not beforehand.
    """

    row: F32
    novelty: float
    strange: float


def load(path_or_name: str | Path) -> Predictor:
    """The predictor of an artifact folder, or of one that ships (`tiny`). Raises ArtifactError."""
    return Predictor(artifacts.load(path_or_name))


def term_rows(features: Features, vocabulary: Mapping[bytes, int]) -> list[int]:
    """The rows of the terms that the router knows, rising, so that sums over them come out the same in any process."""
    rows = [row for term in features.terms if (row := vocabulary.get(term)) is not None]
    rows.sort()
    return rows


def term_weight(features: Features) -> float:
    """What each term of a request weighs: together they are of length 1, known or not."""
    return 1 / sqrt(len(features.terms) or 1)


def inputs(features: Features, vocabulary: Mapping[bytes, int], projection: F32) -> tuple[F32, float]:
    """The row that the trees read, structural counts before terms projected on a few directions, and the novelty."""
    known = term_rows(features, vocabulary)
    directions = projection.take(known, axis=0).sum(axis=0) * term_weight(features)
    novelty = 1 - len(known) / len(features.terms) if features.terms else 0.0
    return np.array([*features.dense, *directions.tolist()], np.float32), novelty


class Predictor:
    """Scores requests with one artifact. Safe to share between threads."""

    def __init__(self, artifact: Artifact) -> None:
        self.artifact = artifact
        self.version = artifact.version
        self.heads = artifact.heads
        self._ladders = _ladders(artifact.heads)
        self._unread = _Finish(artifact.heads, artifact.unread, self._ladders)
        self._probed = {
            head: (probed, _Finish(artifact.heads, probed.stage, self._ladders))
            for head, probed in artifact.probed.items()
        }
        self._dials: dict[Ask, dial.DialTable] = {}

    def restricted(self, models: Collection[str]) -> Predictor:
        """The same forecasts for the efforts of these models alone, and their own dial. ValueError: it knows none."""
        return Predictor(self.artifact.restricted([i for i, head in enumerate(self.heads) if head.model in models]))

    def forecast(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] | None = None,
        probe: Probe | None = None,
        probed: int | None = None,
    ) -> Scores:
        """What each head would bring this request; with the answer of head `probed`, what is known after it.

        A probe of a head that is not in `probes_known` changes nothing.
        """
        return self.scores(self.read(messages, tools), probe, probed)

    def read(
        self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] | None = None
    ) -> EncodedRequest:
        """The request as `scores` wants it, so that it is read once for forecasts before and after a probe."""
        known, projection = self.artifact.vocabulary, self.artifact.projection
        features = featurize(messages, tools)
        row, novelty = inputs(features, known, projection)
        if novelty > SUSPECT:
            question = filtered(question_of(messages), known, len(features.terms))
            if question is not None:
                row, _ = inputs(featurize(messages, tools, question), known, projection)
        return EncodedRequest(row, novelty, self.strange(novelty))

    def strange(self, novelty: float) -> float:
        """How strange a request of this novelty is, as `EncodedRequest` says it."""
        slope, offset = self.artifact.strangeness
        return 1.0 / (1.0 + exp(-(slope * novelty + offset)))

    def scores(self, reading: EncodedRequest, probe: Probe | None = None, probed: int | None = None) -> Scores:
        """The forecast of a request that has been read.

        A probe changes what is likely right, and not the token counts: on kinds of work never met, its few numbers mean
        other lengths than on those that were.
        """
        before = self._unread(self.artifact.unread.trees.score(reading.row).tolist(), reading.novelty)
        known = None if probe is None or probed is None else self._probed.get(probed)
        if probe is None or known is None:
            return before
        row = np.concatenate([reading.row, np.array(probe.inputs(), np.float32)])
        after = known[1](known[0].stage.trees.score(row).tolist(), reading.novelty)
        return before._replace(p_correct=after.p_correct)

    def surface(self, efforts: Sequence[tuple[str, bool, int | None]]) -> Surface:
        """Forecasts for efforts, whether or not it has heads for just their budgets. KeyError: it knows nothing of one.

        Each effort is a model, whether it thinks, and its budget (None: unlimited).
        """
        return Surface(self.heads, [Head(*effort) for effort in efforts])

    def at(self, surface: Surface, scores: Scores, reading: EncodedRequest) -> Scores:
        """The forecasts of the efforts of a surface, from those of the heads, before a probe or after one."""
        if surface.exact:
            return surface(scores, ())
        return surface(scores, self._spread(reading)[:, 0].tolist())

    def quantiles(self, scores: Scores, reading: EncodedRequest) -> Quantiles:
        """P10, P50 and P90 of thinking and answer tokens."""
        spread = self._spread(reading)
        counts = []
        for kind, tokens in enumerate((scores.thinking_tokens, scores.answer_tokens)):
            most = [_most_thinking(head) if kind == 0 else MOST_TOKENS for head in self.heads]
            rows = [
                [min(max(expm1(log1p(t) + off), 0.0), top) for t, off, top in zip(tokens, level, most, strict=True)]
                for level in spread[:, kind].T.tolist()
            ]
            counts.append((rows[0], rows[1], rows[2]))
        return Quantiles(*counts)

    def _spread(self, reading: EncodedRequest) -> NDArray[np.floating]:
        """What log(1 + real tokens) is more than log(1 + forecast): quantiles [heads, 2, LEVELS], for this request."""
        spread = self.artifact.unread.spread
        # Squared: what is probably familiar is not to be made vague by what it might be instead.
        share = reading.strange**2
        mixed: NDArray[np.floating] = spread[:, :, 0] * (1 - share) + spread[:, :, 1] * share
        return mixed

    def finish(self, outputs: Sequence[float], novelty: float) -> Scores:
        """The forecast before any probe, from raw outputs of its trees."""
        return self._unread(outputs, novelty)

    @property
    def probes_known(self) -> Collection[int]:
        """The heads whose probes it has learned from: no-think heads, by index."""
        return self._probed.keys()

    def is_strange(self, reading: EncodedRequest) -> bool:
        """Whether what the text says of its difficulty is not to be trusted alone."""
        return reading.strange > STRANGE

    def probe(self, logprobs: Sequence[float], first_margin: float | None, truncated: bool) -> Probe:
        """What `scores` takes, of an answer's tokens. ValueError: there are none."""
        return Probe.of(logprobs, first_margin, truncated)

    def wants_probe(self, reading: EncodedRequest, scores: Scores, head: int, best_direct: float, cost: float) -> bool:
        """Whether to ask `head` first, before a probe, rather than take the best thinking effort at once.

        `scores` are the forecast before a probe, `best_direct` is that effort's value and `cost` what the tokens and
        seconds of a probe cost, both in P(correct). A probe that convinces is the answer; one that does not was paid
        for in vain. The answer without thinking is only ever taken after a probe; a request unheard of is always asked,
        for its text says nothing of what thinking brings either.
        """
        known = self._probed.get(head)
        if known is None:
            return False
        return (
            reading.strange > UNHEARD_OF
            or known[0].reveals.worth(scores.p_correct[head], best_direct) - cost >= best_direct
        )

    def trial(self, ask: Ask = "auto", efforts: Sequence[int] | None = None) -> HoldoutTrial:
        """What the served policy would have bought at any price, on training traffic it had not seen.

        `efforts` are heads to choose from, the one that may be asked first at the front; all heads where it is left
        out, no-think heads and those with known probes first. Without probes of the first nobody is asked.
        """
        columns = list(efforts) if efforts is not None else self._in_order()
        tried = self.artifact.tried
        known = self._probed.get(columns[0])
        if known is None:
            outcomes = np.zeros((len(tried), 0))
        else:
            reveals = known[0].reveals
            outcomes = np.stack([reveals.outcomes(p) for p in tried.before.p_correct[:, columns[0]].tolist()])
        return holdout.of(tried, columns, outcomes, ask)

    def _in_order(self) -> list[int]:
        """All heads as a policy orders them: asked first, not thinking, then by budget."""

        def place(i: int) -> tuple[bool, bool, float]:
            head = self.heads[i]
            return head.think, i not in self._probed, np.inf if head.budget is None else float(head.budget)

        return sorted(range(len(self.heads)), key=place)

    def promised(
        self, max_regret: float, confidence: float, horizon: int | None, net: bool, ask: Ask, efforts: Sequence[int]
    ) -> Promise:
        """The price of a token at which a policy that asks first, or does not, keeps a contract over these heads.

        They are as `trial` takes them; the last is what losses are measured by.
        """
        return guarantee.of(self.trial(ask, efforts), Contract(max_regret, confidence, horizon), net)

    def price_for_dial(self, x: float, ask: Ask = "auto") -> float:
        """The price of a token, in P(correct), at dial position `x`, for a policy that asks first or does not.

        1 buys the best whatever it costs (price 0), 0 only the cheapest; in between, mean completion tokens on training
        traffic, with those of probes that were thrown away, lie that far between never and always thinking.
        """
        known = self._dials.get(ask)
        if known is None:
            known = self._dials[ask] = dial.table(self.trial(ask))
        return known.price(x)


class _Finish:
    """From the raw outputs [3 x heads] of a stage's trees to forecasts: calibrated, scaled, monotone.

    Number by number: there are too few for arrays to be worth their beginning.
    """

    def __init__(self, heads: Sequence[Head], stage: Stage, ladders: Sequence[Sequence[int]]) -> None:
        self._ladders = ladders
        self._lines = [
            (*map(float, line), *map(float, scale), _most_thinking(head))
            for head, line, scale in zip(heads, stage.calibration, stage.token_scale, strict=True)
        ]

    def __call__(self, outputs: Sequence[float], novelty: float) -> Scores:
        n = len(self._lines)
        p, thinking, answer = [], [], []
        for i, (slope, offset, more_slope, more_offset, scale_thinking, scale_answer, most) in enumerate(self._lines):
            z = outputs[i]
            z = z * slope + offset + novelty * (z * more_slope + more_offset)
            p.append(1.0 / (1.0 + exp(-z)) if z > -40.0 else 0.0)
            tokens = expm1(outputs[n + i]) * scale_thinking
            thinking.append(0.0 if tokens < 0.0 else tokens if tokens < most else most)
            tokens = expm1(outputs[2 * n + i]) * scale_answer
            answer.append(0.0 if tokens < 0.0 else tokens if tokens < MOST_TOKENS else MOST_TOKENS)
        for ladder in self._ladders:
            for i, value in zip(ladder, _monotone([p[i] for i in ladder]), strict=True):
                p[i] = value
            reached = 0.0
            for i in ladder:
                thinking[i] = reached = max(thinking[i], reached)
        return Scores(p, thinking, answer)


def _most_thinking(head: Head) -> float:
    if not head.think:
        return 0.0
    return MOST_TOKENS if head.budget is None else float(head.budget)


def _ladders(heads: Sequence[Head]) -> list[list[int]]:
    """The thinking heads of each model, least budget first: accuracy and thoughts do not shrink along them."""
    ladders = []
    for model in dict.fromkeys(head.model for head in heads):
        members = [i for i, head in enumerate(heads) if head.model == model and head.think]
        if len(members) > 1:
            ladders.append(
                sorted(members, key=lambda i: np.inf if heads[i].budget is None else float(heads[i].budget or 0))
            )
    return ladders


def _monotone(values: list[float]) -> list[float]:
    """The mean of the least non-decreasing row above and the greatest below: non-decreasing, near the values, fast."""
    below = [*accumulate(reversed(values), min)]
    return [(high + low) / 2 for high, low in zip(accumulate(values, max), reversed(below), strict=True)]
