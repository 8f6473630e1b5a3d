"""Reads a router artifact from its folder and checks all of it before use."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router_model.decision.holdout import HeldOut
from router_model.features.request import FEATURES_VERSION, WHOLE_MESSAGE
from router_model.model import artifact_file, shipped
from router_model.model import need as need_model
from router_model.model.artifact import (
    FORMAT,
    FORMATS,
    TREE_ARRAYS,
    Artifact,
    ArtifactError,
    Head,
    Probed,
    Stage,
    feature_layout,
    inputs_of,
)
from router_model.model.artifact_file import MOST_BYTES, MOST_HEADER_BYTES
from router_model.model.probe import PROBE_NAMES, ProbeValueModel
from router_model.model.scores import LEVELS
from router_model.model.trees import MOST_LEAVES, Trees

# Versions appear in response headers and as metric labels.
_VERSION = re.compile(r"[\w.+-]{1,100}", re.ASCII)


def folder_of(path_or_name: str | Path) -> Path:
    """The folder of an artifact: a path, or the name of a shipped one. Raises ArtifactError."""
    path = Path(path_or_name)
    if (path / "artifact.json").is_file():
        return path
    if shipped.ships(str(path_or_name)):
        return shipped.FOLDER / path
    raise ArtifactError(
        f"no router artifact at {path_or_name} (no artifact.json); shipped by name: {', '.join(shipped.names())}"
    )


def load(path_or_name: str | Path) -> Artifact:
    """Read and check an artifact. Raises ArtifactError: missing, corrupt, truncated, or of another version."""
    folder = folder_of(path_or_name)
    header = _header(folder)
    weights = _weights(folder, header)
    try:
        return _assemble(header, weights)
    except KeyError as error:
        raise ArtifactError(f"router artifact {folder} is corrupt: {error} is missing") from None
    except (AttributeError, TypeError, ValueError, IndexError, OverflowError) as error:
        raise ArtifactError(f"router artifact {folder} is corrupt: {str(error).splitlines()[0]}") from None


def _header(folder: Path) -> dict[str, Any]:
    try:
        header = json.loads(artifact_file.read(folder / "artifact.json", MOST_HEADER_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ArtifactError(f"router artifact {folder}: artifact.json cannot be read ({reason})") from None
    found = header.get("format") if isinstance(header, dict) else None
    if found not in FORMATS:
        newer = isinstance(found, int | float) and found > FORMATS[0]
        advice = "a newer Thinkgate wrote it, upgrade to use it" if newer else "train it again"
        raise ArtifactError(
            f"router artifact {folder} has format {str(found)[:20]}, this version reads format {FORMAT}: {advice}"
        )
    if header.get("features") not in map(feature_layout, (WHOLE_MESSAGE, FEATURES_VERSION)):
        raise ArtifactError(
            f"router artifact {folder} was trained on other prompt features ({str(header.get('features'))[:80]}): "
            "train it again"
        )
    return header  # type: ignore[no-any-return]


def _weights(folder: Path, header: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    try:
        data = artifact_file.read(folder / "weights.npz", MOST_BYTES)
    except OSError as error:
        raise ArtifactError(
            f"router artifact {folder}: weights.npz cannot be read ({error.strerror or error})"
        ) from None
    if hashlib.sha256(data).hexdigest() != header.get("weights_sha256"):
        raise ArtifactError(
            f"router artifact {folder} is corrupt or truncated: weights.npz does not match its checksum"
        )
    try:
        return artifact_file.unpack(data)
    except ValueError as error:
        raise ArtifactError(f"router artifact {folder} is corrupt: {error}") from None


def _assemble(header: Mapping[str, Any], weights: Mapping[str, NDArray[Any]]) -> Artifact:
    heads = tuple(map(_head, header["heads"]))
    if not heads or len(set(heads)) < len(heads):
        raise ValueError("it needs at least one head, and no duplicates")
    if not _VERSION.fullmatch(str(header["version"])):
        raise ValueError(f"{header['version']!r:.60} is not a valid version")
    if not isinstance(header["about"], dict):
        raise ValueError("about is not an object")
    if weights["projection"].ndim != 2 or weights["seen"].dtype != np.uint64:
        raise ValueError("projection or seen has the wrong shape or type")
    terms = weights["vocabulary"].tobytes().split(b"\n") if weights["vocabulary"].size else []
    need = need_model.of_arrays(weights)
    inputs = inputs_of(weights["projection"], need)
    if len(terms) != len(weights["projection"]):
        raise ValueError("the vocabulary and the projection differ in length")
    return Artifact(
        version=str(header["version"]),
        heads=heads,
        text_stage=replace(
            _stage("", weights, len(heads), inputs), by_probability=header.get("by_probability", False) is True
        ),
        probed={
            head: Probed(
                _stage(f"probed{head}_", weights, len(heads), inputs + len(PROBE_NAMES)), _probe_value(head, weights)
            )
            for head in _probed(header, len(heads))
        },
        vocabulary={term: row for row, term in enumerate(terms)},
        projection=weights["projection"].astype(np.float32),
        ood_calibration=_ood_calibration(header["strangeness"]),
        held_out=_held_out(header, weights, len(heads)),
        seen=weights["seen"],
        about=header["about"],
        need=need,
        features=header["features"]["version"],
        ordered=_ordered(header.get("ordered")),
        over_budget=frozenset(heads[i] for i in _indices("over_budget", header.get("over_budget", []), len(heads))),
    )


def _ordered(models: Any) -> frozenset[str] | None:
    if models is not None and not (isinstance(models, list) and all(isinstance(model, str) for model in models)):
        raise ValueError("ordered is no list of models")
    return None if models is None else frozenset(models)


def _held_out(header: Mapping[str, Any], weights: Mapping[str, NDArray[Any]], heads: int) -> HeldOut:
    named = {name: array for name, array in weights.items() if name.startswith("trial")}
    held_out = HeldOut.of_arrays(named, _probed(header, heads))
    if (
        held_out.correct.ndim != 2
        or held_out.correct.shape[1] != heads
        or held_out.ood_probability.shape != held_out.correct.shape[:1]
    ):
        raise ValueError(f"{heads} heads, the held-out table has {held_out.correct.shape[1:]}")
    return held_out


def _head(row: Mapping[str, Any]) -> Head:
    model, think, budget = row["model"], row["think"], row["budget"]
    if not isinstance(model, str) or not isinstance(think, bool):
        raise ValueError("a head has no valid `model` or `think`")
    if budget is not None and (isinstance(budget, bool) or not isinstance(budget, int) or budget < 0):
        raise ValueError(f"a head has the invalid budget {budget!r:.40}")
    return Head(model, think, budget)


def _probed(header: Mapping[str, Any], heads: int) -> list[int]:
    return _indices("probed", header["probed"], heads)


def _indices(name: str, found: Any, heads: int) -> list[int]:
    if not isinstance(found, list) or not all(type(head) is int and 0 <= head < heads for head in found):
        raise ValueError(f"{name} names heads that do not exist")
    return found


def _probe_value(head: int, weights: Mapping[str, NDArray[Any]]) -> ProbeValueModel:
    before, after = weights[f"probed{head}_before"], weights[f"probed{head}_after"]
    if (
        before.ndim != 1
        or not len(before)
        or after.ndim != 2
        or len(after) != len(before)
        or np.any(np.diff(before) <= 0)
    ):
        raise ValueError(f"the probe value model of head {head} has the wrong shape")
    return ProbeValueModel(before, after)


def _ood_calibration(numbers: Sequence[float]) -> tuple[float, float]:
    slope, offset = map(float, numbers)
    if not np.isfinite([slope, offset]).all():
        raise ValueError("strangeness needs two finite numbers")
    return slope, offset


def _stage(prefix: str, weights: Mapping[str, NDArray[Any]], heads: int, inputs: int) -> Stage:
    parts = {name: weights[f"{prefix}tree_{name}"] for name in TREE_ARRAYS}
    # Converted once, since NumPy would convert other integer types at every indexing.
    parts["feature"] = parts["feature"].astype(np.intp)
    parts["values"] = parts["values"].astype(np.float32)
    outputs = 3 * heads
    if parts["values"].shape[2:] != (outputs,) or parts["base"].shape != (outputs,):
        raise ValueError(f"{heads} heads need {outputs} outputs, the trees have {parts['values'].shape[2:]}")
    trees, leaves = parts["values"].shape[:2]
    splits = parts["feature"].shape
    shaped = parts["threshold"].shape == parts["rules_out"].shape == splits
    if len(splits) != 2 or splits[1] != trees or not shaped or not 0 < leaves <= MOST_LEAVES:
        raise ValueError("the trees have the wrong shape")
    if parts["feature"].size and not 0 <= parts["feature"].min() <= parts["feature"].max() < inputs:
        raise ValueError("the trees use features that do not exist")
    parts["rules_out"] = _rules(parts["rules_out"], leaves)
    calibration, token_scale = weights[f"{prefix}calibration"], weights[f"{prefix}token_scale"]
    if calibration.shape != (heads, 4) or token_scale.shape != (heads, 2):
        raise ValueError(
            f"{heads} heads, but calibration is for {calibration.shape[:1]} and token_scale for {token_scale.shape[:1]}"
        )
    # An artifact without spreads forecasts exact counts.
    spread = weights.get(f"{prefix}spread", np.zeros((heads, 2, 2, len(LEVELS)), np.float16)).astype(np.float32)
    if spread.shape != (heads, 2, 2, len(LEVELS)):
        raise ValueError(f"{heads} heads, but spread has shape {spread.shape}")
    return Stage(Trees(**parts), calibration, token_scale, spread)


def _rules(rules_out: NDArray[Any], leaves: int) -> NDArray[np.uint32]:
    """Raises ValueError if the splits could rule out every leaf of a tree."""
    if rules_out.dtype != np.uint32:
        raise ValueError("the trees have the wrong shape")
    everything = np.bitwise_or.reduce(rules_out, axis=0) if len(rules_out) else np.zeros(0, np.uint32)
    if np.any(np.bitwise_count(everything & ~(everything + np.uint32(1))) >= leaves):
        raise ValueError("the trees rule out all of their leaves")
    return rules_out
