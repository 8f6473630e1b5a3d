"""Forecasts for single requests from a router artifact. The gateway imports this: NumPy is the only dependency."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from math import exp, expm1, log1p
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router_model.decision import dial, guarantee, holdout
from router_model.decision.guarantee import Promise
from router_model.decision.holdout import HoldoutTrial
from router_model.decision.probe_policy import Ask
from router_model.decision.risk import Contract
from router_model.features.noise_filter import SUSPECT, filtered
from router_model.features.request import Features, featurize, question_of
from router_model.model import artifact_reader, kept_features
from router_model.model.artifact import Artifact, ArtifactError, Head
from router_model.model.budget_interpolation import Surface
from router_model.model.calibrated import MOST_TOKENS, CalibratedOutput, most_thinking
from router_model.model.probe import OOD_ALWAYS_PROBE, OOD_UNTRUSTED, Probe
from router_model.model.request_encoding import EncodedRequest, KnownTerms, inputs, views_read
from router_model.model.scores import Quantiles, Scores
from router_model.model.trees import F32

__all__ = [
    "OOD_UNTRUSTED",
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


# With fewer prompts that were run at all efforts, the dial also rests on prompts that were not.
LEAST_MEASURED = 20


def load(path_or_name: str | Path) -> Predictor:
    """The predictor of an artifact folder, or of a shipped artifact (`tiny`). Raises ArtifactError."""
    return Predictor(artifact_reader.load(path_or_name))


class Predictor:
    """Scores requests with one artifact. Safe to share between threads."""

    def __init__(self, artifact: Artifact) -> None:
        self.artifact = artifact
        self.version = artifact.version
        self.heads = artifact.heads
        self._views = views_read(artifact.vocabulary)
        ordered, over = artifact.ordered, artifact.over_budget
        self._text_stage = CalibratedOutput(artifact.heads, artifact.text_stage, ordered, over)
        self._probed = {
            head: (probed, CalibratedOutput(artifact.heads, probed.stage, ordered, over))
            for head, probed in artifact.probed.items()
        }
        self._dials: dict[Ask, dial.DialTable] = {}

    def restricted(self, models: Collection[str]) -> Predictor:
        """The predictor for the efforts of these models only, with their own dial. ValueError: it has none of them."""
        return Predictor(self.artifact.restricted([i for i, head in enumerate(self.heads) if head.model in models]))

    def forecast(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] | None = None,
        probe: Probe | None = None,
        probed: int | None = None,
    ) -> Scores:
        """The forecast of each head for a request, optionally after a probe of head `probed`.

        A probe of a head that is not in `probes_known` is ignored.
        """
        return self.scores(self.read(messages, tools), probe, probed)

    def read(
        self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] | None = None
    ) -> EncodedRequest:
        """Encode a request for `scores`, once for the forecasts before and after a probe."""
        version, known = self.artifact.features, self.artifact.vocabulary
        row, novelty, found = self._inputs(featurize(messages, tools, version=version))
        if novelty > SUSPECT and known:
            question = filtered(question_of(messages, version), known, found.counted)
            if question is not None:
                row, *_ = self._inputs(featurize(messages, tools, question, version))
        return EncodedRequest(row, novelty, self.ood_probability(novelty))

    def _inputs(self, features: Features) -> tuple[F32, float, KnownTerms]:
        own = self.artifact
        return inputs(features, own.vocabulary, own.projection, self._views, own.need)

    @cached_property
    def encoding(self) -> str:
        """Names what it reads requests by; equal ones give equal readings."""
        return kept_features.encoding_of(self.artifact.vocabulary, self.artifact.projection, self.artifact.need)

    def kept(self, reading: EncodedRequest) -> str:
        """The features of a request for its record, as text."""
        return kept_features.dump(self.encoding, reading)

    def again(self, row: F32, novelty: float) -> EncodedRequest:
        """A request as it was read before, from features that were kept."""
        return EncodedRequest(row, novelty, self.ood_probability(novelty))

    def ood_probability(self, novelty: float) -> float:
        """The probability that a request of this novelty is out of distribution, at even prior odds."""
        slope, offset = self.artifact.ood_calibration
        return 1.0 / (1.0 + exp(-(slope * novelty + offset)))

    def scores(self, reading: EncodedRequest, probe: Probe | None = None, probed: int | None = None) -> Scores:
        """The forecast for an encoded request.

        A probe updates P(correct), not the token counts: out of distribution its features do not predict lengths.
        """
        before = self._text_stage(self.artifact.text_stage.trees.score(reading.row).tolist(), reading.novelty)
        known = None if probe is None or probed is None else self._probed.get(probed)
        if probe is None or known is None:
            return before
        row = np.concatenate([reading.row, np.array(probe.inputs(), np.float32)])
        after = known[1](known[0].stage.trees.score(row).tolist(), reading.novelty)
        return before._replace(p_correct=after.p_correct)

    def usual(self, scores: Scores) -> Scores:
        """The same with the mean P(correct) of each head on held-out prompts; unchanged where there are none."""
        held_out = self.artifact.held_out
        if not len(held_out):
            return scores
        return scores._replace(p_correct=held_out.before.p_correct.mean(axis=0, dtype=np.float64).tolist())

    def surface(self, efforts: Sequence[tuple[str, bool, int | None]]) -> Surface:
        """Forecasts for efforts, whether or not there are heads with exactly their budgets. KeyError: an effort is
        unknown.

        Each effort is a model, whether it thinks, and its budget (None: unlimited).
        """
        return Surface(self.heads, [Head(*effort) for effort in efforts])

    def at(self, surface: Surface, scores: Scores, reading: EncodedRequest) -> Scores:
        """The forecasts of a surface's efforts, from those of the heads, before or after a probe."""
        if surface.exact:
            return surface(scores, ())
        return surface(scores, self._spread(reading)[:, 0].tolist())

    def quantiles(self, scores: Scores, reading: EncodedRequest) -> Quantiles:
        """P10, P50 and P90 of thinking and answer tokens."""
        spread, over = self._spread(reading), self.artifact.over_budget
        counts = []
        for kind, tokens in enumerate((scores.thinking_tokens, scores.answer_tokens)):
            most = [most_thinking(head, over) if kind == 0 else MOST_TOKENS for head in self.heads]
            rows = [
                [min(max(expm1(log1p(t) + off), 0.0), top) for t, off, top in zip(tokens, level, most, strict=True)]
                for level in spread[:, kind].T.tolist()
            ]
            counts.append((rows[0], rows[1], rows[2]))
        return Quantiles(*counts)

    def _spread(self, reading: EncodedRequest) -> NDArray[np.floating]:
        """The quantiles [heads, 2, LEVELS] of log(1 + real tokens) - log(1 + forecast) for this request."""
        spread = self.artifact.text_stage.spread
        # Squared, so that probably familiar requests do not get the wide quantiles of unfamiliar ones.
        share = reading.ood_probability**2
        mixed: NDArray[np.floating] = spread[:, :, 0] * (1 - share) + spread[:, :, 1] * share
        return mixed

    def finish(self, outputs: Sequence[float], novelty: float) -> Scores:
        """The forecast without a probe, from raw outputs of the trees."""
        return self._text_stage(outputs, novelty)

    @property
    def probes_known(self) -> Collection[int]:
        """The indices of the heads whose probes it was trained on; all without thinking."""
        return self._probed.keys()

    def is_ood(self, reading: EncodedRequest) -> bool:
        """Whether the request is so likely out of distribution that its text forecast is not used without a probe."""
        return reading.ood_probability > OOD_UNTRUSTED

    def probe(self, logprobs: Sequence[float], first_margin: float | None, truncated: bool) -> Probe:
        """The probe for `scores`, from an answer's tokens. ValueError: there are none."""
        return Probe.of(logprobs, first_margin, truncated)

    def wants_probe(self, reading: EncodedRequest, scores: Scores, head: int, best_direct: float, cost: float) -> bool:
        """Whether to probe `head` first, instead of using the best thinking effort at once.

        `scores` is the forecast before a probe, `best_direct` the value of that effort, and `cost` that of a probe's
        tokens and seconds, both in P(correct). A convincing probe is the answer, any other is wasted. The answer
        without thinking is only used after a probe. Above `OOD_ALWAYS_PROBE` it always probes, since the text does not
        predict the value of thinking.
        """
        known = self._probed.get(head)
        if known is None:
            return False
        return (
            self.always_probes(reading)
            or known[0].reveals.worth(scores.p_correct[head], best_direct) - cost >= best_direct
        )

    def always_probes(self, reading: EncodedRequest) -> bool:
        """Whether the text says so little that a probe is asked for whatever it costs."""
        return reading.ood_probability > OOD_ALWAYS_PROBE

    def probe_outcomes(self, scores: Scores, head: int) -> list[float]:
        """Equally likely values of P(correct) after a probe of `head`. KeyError: its probes are unknown."""
        outcomes: list[float] = self._probed[head][0].reveals.outcomes(scores.p_correct[head]).tolist()
        return outcomes

    def trial(self, ask: Ask = "auto", efforts: Sequence[int] | None = None, measured: bool = True) -> HoldoutTrial:
        """The results of the served policy at any price, on held-out training prompts.

        `efforts` are the heads to choose from, of which the first may be probed; by default all heads, those without
        thinking and with known probes first. There are no probes if the first head has none. `measured`: see
        `holdout.of`.
        """
        columns = list(efforts) if efforts is not None else self._in_order()
        held_out = self.artifact.held_out
        known = self._probed.get(columns[0])
        if known is None:
            outcomes = np.zeros((len(held_out), 0))
        else:
            reveals = known[0].reveals
            outcomes = np.stack([reveals.outcomes(p) for p in held_out.before.p_correct[:, columns[0]].tolist()])
        return holdout.of(held_out, columns, outcomes, ask, measured)

    def _in_order(self) -> list[int]:
        """All heads in a policy's order: without thinking first, then those with probes, then by budget."""

        def place(i: int) -> tuple[bool, bool, float]:
            head = self.heads[i]
            return head.think, i not in self._probed, np.inf if head.budget is None else float(head.budget)

        return sorted(range(len(self.heads)), key=place)

    def promised(
        self, max_regret: float, confidence: float, horizon: int | None, net: bool, ask: Ask, efforts: Sequence[int]
    ) -> Promise:
        """The token price at which a policy meets a contract over these heads, with or without probes.

        `efforts` as in `trial`; the last one is the reference for losses.
        """
        return guarantee.of(self.trial(ask, efforts), Contract(max_regret, confidence, horizon), net)

    def price_for_dial(self, x: float, ask: Ask = "auto") -> float:
        """The price of a token, in P(correct), at dial position `x`, for a policy with or without probes.

        1 selects the best effort at any cost (price 0), 0 the cheapest. In between, `x` is the position of the mean
        completion tokens on training traffic, including those of discarded probes, between never and always thinking.
        """
        known = self._dials.get(ask)
        if known is None:
            trial = self.trial(ask)
            # Live traffic has answers at one effort each; what each position spends is then known by forecasts alone.
            known = self._dials[ask] = dial.table(
                trial if len(trial) >= LEAST_MEASURED else self.trial(ask, measured=False)
            )
        return known.price(x)
