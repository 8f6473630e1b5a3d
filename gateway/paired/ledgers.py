"""What answers in the background have spent: of experiments, and of shadows."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.paired.ledger import PairedLedger
from gateway.paired.shadow_ledger import ShadowLedger


@dataclass(frozen=True, slots=True)
class Ledgers:
    """In one process; a reload keeps them."""

    paired: PairedLedger = field(default_factory=PairedLedger)
    shadows: ShadowLedger = field(default_factory=ShadowLedger)
