"""What the confidence of a short answer says of a model that nobody has outcomes of.

One curve for all models, P(right) by a logistic model of the probabilities of the answer's tokens, and how far from it
the models and kinds of work lie that it was fitted to. What is said of a deployment is the lower bound of that.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import exp, fsum, hypot, log1p
from pathlib import Path
from statistics import NormalDist
from typing import Any

from router_model.model.artifact import ArtifactError
from router_model.model.probe import Probe
from router_model.model.shipped import FOLDER

FORMAT = 1
FILE = FOLDER / "generic-probe" / "probe.json"
# The inputs of the curve, each of one probe.
FEATURES = ("mean token", "least token", "whole answer", "cut short")
# Logits are cut here: no number of tokens is more certain than that.
_MOST = 12.0


@dataclass(frozen=True, slots=True)
class GenericProbe:
    """`intercept` and `weights`, one per feature, make the logit of the curve; `offset_sd` and `slope_sd` are how far
    models and kinds of work lie from it. `level` is that of the lower bound. `outcomes` are equally likely
    values of the bound on the probes that the curve was fitted to.
    """

    version: str
    intercept: float
    weights: tuple[float, ...]
    offset_sd: float
    slope_sd: float
    level: float
    outcomes: tuple[float, ...]

    def logit(self, probe: Probe) -> float:
        """Of the curve: for a model like the mean of those it was fitted to."""
        found = self.intercept + fsum(w * x for w, x in zip(self.weights, features(probe), strict=True))
        return min(max(found, -_MOST), _MOST)

    def p_correct(self, probe: Probe) -> float:
        """The lower bound of P(right) at the level."""
        return self.bound(self.logit(probe))

    def bound(self, logit: float) -> float:
        """The same from the logit of the curve."""
        spread = hypot(self.offset_sd, self.slope_sd * logit)
        return sigmoid(logit - NormalDist().inv_cdf(self.level) * spread)

    def described(self) -> dict[str, Any]:
        """For the file that `load` reads."""
        return {"format": FORMAT, **{name: getattr(self, name) for name in self.__slots__}}


def load(path: Path = FILE) -> GenericProbe:
    """ArtifactError: it cannot be read, or is none."""
    try:
        found = json.loads(path.read_text("utf-8"))
        if found.pop("format") != FORMAT:
            raise ArtifactError(f"{path}: is of another format than {FORMAT}")
        return GenericProbe(**{**found, **{name: tuple(map(float, found[name])) for name in ("weights", "outcomes")}})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{path}: cannot be used as a generic probe: {error}") from error


def features(probe: Probe) -> tuple[float, ...]:
    """Of FEATURES: the geometric mean of its tokens' probabilities; that of the least likely token; the logarithm of
    the probability of the whole answer, flattened; and whether it was cut short.
    """
    whole = -log1p(max(-probe.mean * probe.tokens, 0.0))
    return exp(min(probe.mean, 0.0)), exp(min(probe.least, 0.0)), whole, float(probe.truncated)


def sigmoid(logit: float) -> float:
    return 1.0 / (1.0 + exp(-min(max(logit, -40.0), 40.0)))
