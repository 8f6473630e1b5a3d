"""The price setters by the names that they have in the configuration."""

from __future__ import annotations

from gateway.core.kind import kind_of
from gateway.routing.prices.load import LoadSettings
from gateway.routing.prices.pace import PaceSettings
from gateway.routing.prices.protocol import PriceSettings
from gateway.routing.prices.slo import SloSettings
from gateway.routing.prices.sticky import StickySettings

SETTERS: dict[str, type[PriceSettings]] = {
    "pace": PaceSettings,
    "slo": SloSettings,
    "load": LoadSettings,
    "sticky": StickySettings,
}


def register(settings: type[PriceSettings]) -> None:
    """Add a price setter, known from now on by the `kind` of its settings. Call it before a configuration is read.

    ValueError: another one has that kind.
    """
    kind = kind_of(settings)
    if SETTERS.setdefault(kind, settings) is not settings:
        raise ValueError(f"a price setter {kind!r} is registered already")
