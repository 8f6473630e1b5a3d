"""What runs already, that models are built into."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from gateway.backends.admission import AdmissionController
from gateway.backends.engine_loads import EngineLoads
from gateway.backends.transport import Transport
from gateway.config.settings import Settings
from gateway.core.load import Load
from gateway.routing.catalogue import PublicModel
from gateway.routing.prices.protocol import PriceSetter
from gateway.routing.prices.spending_book import MemoryBook, SpendingBook
from gateway.storage.spending_file import SpendingFile


class Live(NamedTuple):
    """`admission` and `engines` tell how busy deployments are, `spending` what was spent (None: nothing), and the price
    setters of the models of `before` keep their state.
    """

    admission: Mapping[str, AdmissionController] = {}
    engines: EngineLoads | None = None
    spending: SpendingFile | None = None
    before: Iterable[PublicModel] = ()

    @property
    def book(self) -> SpendingBook:
        return MemoryBook() if self.spending is None else self.spending

    def load_of(self, deployment: str) -> Load:
        load = self.admission[deployment].load if deployment in self.admission else Load()
        return load if self.engines is None else load._replace(engine=self.engines.of(deployment))

    def setters_of(self, model: str) -> Iterable[PriceSetter]:
        """Those that it had before."""
        return next((one.setters for one in self.before if one.name == model), ())

    def watch(self, models: Iterable[PublicModel]) -> None:
        """Ask engines how busy they are, where a price setter wants to know."""
        if self.engines is None:
            return
        for model in models:
            every_s = [one for setter in model.setters if (one := setter.settings.engines_every_s) is not None]
            for deployment in {one for arm in model.arms for one in arm.deployments} if every_s else ():
                self.engines.watch(deployment, min(every_s))


NOTHING_RUNS = Live()


def live(
    chosen: Settings,
    transport: Transport,
    admission: Mapping[str, AdmissionController],
    spending: SpendingFile | None = None,
    before: Iterable[PublicModel] = (),
) -> Live:
    """Of a serving gateway; `spending` and `before` are those of the configuration before.

    ConfigError: the file for what budgets have spent cannot be used.
    """
    budgets = any(one.account for model in chosen.models.values() for one in model.prices)
    if spending is None and (budgets or chosen.learn.shadow > 0):
        spending = SpendingFile(chosen.spending_path, time.time())
    return Live(admission, EngineLoads(transport), spending, before)
