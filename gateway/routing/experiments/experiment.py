"""An experiment: several arms that share the units of one public model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.config.experiment import ExperimentSettings
from gateway.core.arm import Arm


@dataclass(frozen=True, slots=True)
class Experiment:
    """As it is configured. Whether it runs, and with what weights, is its `State`.

    `default` is the name of the arm that all others are compared with, and that has all units while it is stopped;
    `adjusts`: what it was forecast to bring is recorded with each request, and taken out of what its arm has brought.
    """

    name: str
    settings: ExperimentSettings
    arms: tuple[Arm, ...]
    default: str
    adjusts: bool = False

    @property
    def salt(self) -> str:
        return self.settings.salt or self.name

    @property
    def default_arm(self) -> Arm:
        return next(arm for arm in self.arms if arm.name == self.default)

    @property
    def weights(self) -> Mapping[str, float]:
        """As they are configured, by the names of the arms."""
        return {arm.name: arm.weight for arm in self.arms}
