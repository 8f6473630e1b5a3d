"""What the gateway needs of a router artifact."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

from gateway.core.probe import ProbeUse


class Scores(Protocol):
    """Per effort: P(correct), expected thinking and answer tokens."""

    @property
    def p_correct(self) -> Sequence[float]: ...
    @property
    def thinking_tokens(self) -> Sequence[float]: ...
    @property
    def answer_tokens(self) -> Sequence[float]: ...


class Quantiles(Protocol):
    """Quantiles of token counts, rising: for each the tokens of all heads."""

    @property
    def thinking(self) -> Sequence[Sequence[float]]: ...


class Surface(Protocol):
    """Some efforts on an artifact's response surface."""

    @property
    def nearest(self) -> Sequence[int]:
        """For each effort the head nearest to it."""
        ...


class Predictor(Protocol):
    version: str

    @property
    def heads(self) -> Sequence[Any]: ...
    @property
    def probes_known(self) -> Collection[int]:
        """The heads whose probes tell it something."""
        ...

    def restricted(self, models: Collection[str]) -> Predictor: ...

    def surface(self, efforts: Sequence[tuple[str, bool, int | None]]) -> Surface:
        """Forecasts for efforts, each a model, whether it thinks, and the budget (None: unlimited)."""
        ...

    def read(self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] | None = None) -> Any:
        """The request, read once for forecasts before and after a probe."""
        ...

    def kept(self, reading: Any) -> str:
        """The reading as text, for records to be learned from."""
        ...

    def again(self, row: Any, novelty: float) -> Any:
        """The reading of a request whose features were kept."""
        ...

    @property
    def encoding(self) -> str:
        """Equal for predictors that read requests alike."""
        ...

    def is_ood(self, reading: Any) -> bool: ...

    def scores(self, reading: Any, probe: Any = None, probed: int | None = None) -> Scores: ...

    def usual(self, scores: Any) -> Scores:
        """The same scores with the mean P(correct) of each head on its own held-out prompts, where it has some."""
        ...

    def at(self, surface: Any, scores: Any, reading: Any) -> Scores:
        """The forecasts of the efforts of a surface, from those that `scores` made."""
        ...

    def quantiles(self, scores: Any, reading: Any) -> Quantiles:
        """The last one is P90."""
        ...

    def probe(self, logprobs: Sequence[float], first_margin: float | None, truncated: bool) -> Any:
        """What `scores` takes as a probe. ValueError: it has no tokens."""
        ...

    def wants_probe(self, reading: Any, scores: Any, head: int, best_direct: float, cost: float) -> bool: ...

    def always_probes(self, reading: Any) -> bool:
        """Whether `wants_probe` says yes whatever a probe costs."""
        ...

    def probe_outcomes(self, scores: Any, head: int) -> Sequence[float]:
        """Equally likely values of P(correct) after a probe of this head, by which `wants_probe` decides otherwise."""
        ...

    def price_for_dial(self, x: float, ask: ProbeUse = "auto") -> float: ...
    def promised(
        self,
        max_regret: float,
        confidence: float,
        horizon: int | None,
        net: bool,
        ask: ProbeUse,
        efforts: Sequence[int],
    ) -> Any:
        """The price at which a contract is kept, and what it did on tried prompts."""
        ...
