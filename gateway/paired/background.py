"""All that answers requests again in the background: the other arms of experiments, and shadows."""

from __future__ import annotations

from typing import Protocol

from gateway.auth.authenticator import Authenticator
from gateway.config.settings import Settings
from gateway.core.stopping import Stopping
from gateway.execution.recorder import Recorder
from gateway.observability.metrics import Metrics
from gateway.paired.ledgers import Ledgers
from gateway.paired.runs import PairedRuns
from gateway.paired.shadow_runs import ShadowRuns
from gateway.pipeline import Pipeline
from gateway.routing.catalogue import PublicModel
from gateway.routing.experiments.running import Experiments
from gateway.routing.prices.spending_book import SpendingBook


class HasBook(Protocol):
    @property
    def book(self) -> SpendingBook: ...


class BackgroundParts(Protocol):
    """The parts of an application that this needs."""

    @property
    def settings(self) -> Settings: ...
    @property
    def experiments(self) -> Experiments: ...
    @property
    def ledgers(self) -> Ledgers: ...
    @property
    def metrics(self) -> Metrics: ...
    @property
    def stopping(self) -> Stopping: ...
    @property
    def authenticator(self) -> Authenticator: ...
    @property
    def judge(self) -> PublicModel | None: ...
    @property
    def live(self) -> HasBook: ...


class Background:
    """Of one application. `pipeline` is the clients' own."""

    def __init__(self, pipeline: Pipeline, parts: BackgroundParts) -> None:
        metrics, stopping = parts.metrics, parts.stopping
        self._paired = PairedRuns(pipeline, parts.experiments, parts.ledgers.paired, metrics, stopping)
        self._shadows = ShadowRuns(
            parts.settings.learn,
            pipeline,
            parts.ledgers.shadows,
            parts.live.book,
            metrics,
            stopping,
            parts.authenticator.learns,
            parts.judge,
        )

    def offer(self, recorder: Recorder) -> None:
        """A client's request has ended, whatever became of it. Returns at once."""
        self._paired.offer(recorder)
        self._shadows.offer(recorder)

    async def close(self) -> None:
        await self._paired.close()
        await self._shadows.close()
