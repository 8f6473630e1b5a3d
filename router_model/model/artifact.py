"""The router artifact on disk: artifact.json (what it is), weights.npz (numbers) and CARD.md (for people)."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router_model import shipped
from router_model.data import output_files
from router_model.decision.holdout import HeldOut
from router_model.features.request import DENSE_NAMES, FEATURES_VERSION
from router_model.model import artifact_file
from router_model.model.artifact_file import MOST_BYTES, MOST_HEADER_BYTES
from router_model.model.probe import PROBE_NAMES, ProbeValueModel
from router_model.model.scores import LEVELS
from router_model.model.trees import F32, MOST_LEAVES, Trees

FORMAT = 4
# A version is told in a header and is a label of metrics.
_VERSION = re.compile(r"[\w.+-]{1,100}", re.ASCII)
_TREE_ARRAYS = ("feature", "threshold", "rules_out", "values", "base")


class ArtifactError(ValueError):
    """An artifact that cannot be used; the message is one line and says why."""


@dataclass(frozen=True, slots=True, order=True)
class Head:
    """One effort of one model that the router forecasts.

    `budget` None: unlimited (think) or not applicable (no think).
    """

    model: str
    think: bool
    budget: int | None = None

    @property
    def name(self) -> str:
        effort = "nothink" if not self.think else "think" if self.budget is None else f"budget-{self.budget}"
        return f"{self.model}/{effort}"


@dataclass(frozen=True, slots=True)
class Stage:
    """Trees, and what makes their outputs mean what they say.

    `calibration` [heads, 4]: the logit z of a prompt of novelty w becomes a z + b + w (c z + d). `token_scale`
    [heads, 2] corrects mean thinking and answer tokens. `spread` [heads, 2, 2, quantiles] is what log(1 + real tokens)
    is more than log(1 + forecast), of thinking and answer, for familiar and for strange work, at each of `LEVELS`.
    """

    trees: Trees
    calibration: F32
    token_scale: F32
    spread: F32

    def restricted(self, heads: Sequence[int]) -> Stage:
        """Only these heads."""
        outputs = np.concatenate([np.array(heads) + part * len(self.calibration) for part in range(3)])
        return Stage(
            self.trees.restricted(outputs), self.calibration[heads], self.token_scale[heads], self.spread[heads]
        )


@dataclass(frozen=True, slots=True)
class Probed:
    """What follows a probe of one head: forecasts that have seen it, and what it may be expected to reveal."""

    stage: Stage
    reveals: ProbeValueModel


@dataclass(frozen=True, slots=True)
class Artifact:
    """Everything a predictor needs.

    `vocabulary` names the row of `projection` [terms, k] of each term. `unread` forecasts from the request alone;
    `probed` by the index of the head that was probed, for heads of whose probes the data told. `strangeness` is slope
    and offset of the logit of P(a kind of work never met | novelty), where that is as likely as not beforehand. `seen`
    are the sorted hashes of the prompts it was trained on. `tried` are some of those, judged by cross-validation.
    """

    version: str
    heads: tuple[Head, ...]
    unread: Stage
    probed: Mapping[int, Probed]
    vocabulary: Mapping[bytes, int]
    projection: F32
    strangeness: tuple[float, float]
    tried: HeldOut
    seen: NDArray[np.uint64]
    about: Mapping[str, Any]

    def restricted(self, heads: Sequence[int]) -> Artifact:
        """Only these heads. ValueError: none."""
        if not heads:
            raise ValueError("an artifact has at least one head")
        return replace(
            self,
            heads=tuple(self.heads[i] for i in heads),
            unread=self.unread.restricted(heads),
            probed={
                new: replace(self.probed[old], stage=self.probed[old].stage.restricted(heads))
                for new, old in enumerate(heads)
                if old in self.probed
            },
            tried=self.tried.restricted(heads),
        )


def fingerprint(text: str) -> np.uint64:
    """The hash by which `seen` remembers a question's stem."""
    return np.uint64(int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big"))


def save(artifact: Artifact, folder: Path, card: str) -> None:
    """Write the artifact; the same artifact always gives the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = _arrays(artifact)
    weights = artifact_file.pack(arrays)
    header = {
        "format": FORMAT,
        "version": artifact.version,
        "features": _features(),
        "probed": sorted(artifact.probed),
        "strangeness": list(artifact.strangeness),
        "heads": [{"model": h.model, "think": h.think, "budget": h.budget} for h in artifact.heads],
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
        "about": dict(artifact.about),
    }
    # Each takes its place whole, and what names the others comes last: a gateway may be reading.
    output_files.put_together(
        {
            folder / "CARD.md": card.encode(),
            folder / "weights.npz": weights,
            folder / "artifact.json": (json.dumps(header, indent=1) + "\n").encode(),
        }
    )


def _features() -> dict[str, int]:
    return {"version": FEATURES_VERSION, "dense": len(DENSE_NAMES), "probe": len(PROBE_NAMES)}


def _arrays(artifact: Artifact) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {
        # Terms hold no line break: all space in them has become one blank.
        "vocabulary": np.frombuffer(b"\n".join(artifact.vocabulary), np.uint8),
        "projection": artifact.projection.astype(np.float16),
        "seen": artifact.seen,
        **artifact.tried.arrays(),
        **_stage_arrays("", artifact.unread),
    }
    for head, probed in sorted(artifact.probed.items()):
        arrays |= _stage_arrays(f"probed{head}_", probed.stage)
        arrays[f"probed{head}_before"], arrays[f"probed{head}_after"] = probed.reveals.before, probed.reveals.after
    return arrays


def numbers(artifact: Artifact) -> dict[str, NDArray[Any]]:
    """The arrays that a version is named after: all that its forecasts follow from."""
    arrays = _arrays(artifact)
    return {name: arrays[name] for name in arrays if name not in ("vocabulary", "seen")}


def _stage_arrays(prefix: str, stage: Stage) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {f"{prefix}tree_{name}": getattr(stage.trees, name) for name in _TREE_ARRAYS}
    arrays[f"{prefix}tree_feature"] = stage.trees.feature.astype(np.int32)
    arrays[f"{prefix}tree_values"] = stage.trees.values.astype(np.float16)
    arrays[f"{prefix}spread"] = stage.spread.astype(np.float16)
    return arrays | {f"{prefix}calibration": stage.calibration, f"{prefix}token_scale": stage.token_scale}


def version_of(name: str, parts: Mapping[str, NDArray[Any]], heads: tuple[Head, ...]) -> str:
    """`<name>-<8 hex digits>`: the digits follow from the numbers themselves."""
    digest = hashlib.sha256(repr(heads).encode())
    for key in sorted(parts):
        digest.update(key.encode())
        digest.update(np.ascontiguousarray(parts[key]).tobytes())
    return f"{name}-{digest.hexdigest()[:8]}"


def folder_of(path_or_name: str | Path) -> Path:
    """The folder of an artifact: a path, or the name of one that ships. Raises ArtifactError."""
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
    except OSError as error:
        raise ArtifactError(
            f"router artifact {folder}: artifact.json cannot be read ({error.strerror or error})"
        ) from None
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"router artifact {folder}: artifact.json cannot be read ({error})") from None
    found = header.get("format") if isinstance(header, dict) else None
    if found != FORMAT:
        newer = isinstance(found, int | float) and found > FORMAT
        advice = "a newer Thinkgate wrote it, upgrade to use it" if newer else "train it again"
        raise ArtifactError(
            f"router artifact {folder} has format {str(found)[:20]}, this version reads format {FORMAT}: {advice}"
        )
    if header.get("features") != _features():
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


def inputs_of(projection: NDArray[Any]) -> int:
    """How many numbers the trees read."""
    return len(DENSE_NAMES) + int(projection.shape[1])


def _assemble(header: Mapping[str, Any], weights: Mapping[str, NDArray[Any]]) -> Artifact:
    heads = tuple(map(_head, header["heads"]))
    if not heads or len(set(heads)) < len(heads):
        raise ValueError("it needs heads, each of which is there once")
    if not _VERSION.fullmatch(str(header["version"])):
        raise ValueError(f"{header['version']!r:.60} is no version")
    if not isinstance(header["about"], dict):
        raise ValueError("it says nothing about itself")
    if weights["projection"].ndim != 2 or weights["seen"].dtype != np.uint64:
        raise ValueError("projection or seen has another shape")
    terms = weights["vocabulary"].tobytes().split(b"\n") if weights["vocabulary"].size else []
    inputs = inputs_of(weights["projection"])
    if len(terms) != len(weights["projection"]):
        raise ValueError("terms and projection do not fit together")
    return Artifact(
        version=str(header["version"]),
        heads=heads,
        unread=_stage("", weights, len(heads), inputs),
        probed={
            head: Probed(
                _stage(f"probed{head}_", weights, len(heads), inputs + len(PROBE_NAMES)), _reveals(head, weights)
            )
            for head in _probed(header, len(heads))
        },
        vocabulary={term: row for row, term in enumerate(terms)},
        projection=weights["projection"].astype(np.float32),
        strangeness=_two(header["strangeness"]),
        tried=_tried(header, weights, len(heads)),
        seen=weights["seen"],
        about=header["about"],
    )


def _tried(header: Mapping[str, Any], weights: Mapping[str, NDArray[Any]], heads: int) -> HeldOut:
    named = {name: array for name, array in weights.items() if name.startswith("trial")}
    tried = HeldOut.of_arrays(named, _probed(header, heads))
    if tried.correct.ndim != 2 or tried.correct.shape[1] != heads or tried.strange.shape != tried.correct.shape[:1]:
        raise ValueError(f"{heads} heads, the trial has {tried.correct.shape[1:]}")
    return tried


def _head(said: Mapping[str, Any]) -> Head:
    model, think, budget = said["model"], said["think"], said["budget"]
    if not isinstance(model, str) or not isinstance(think, bool):
        raise ValueError("a head has no model, or does not say whether it thinks")
    if budget is not None and (isinstance(budget, bool) or not isinstance(budget, int) or budget < 0):
        raise ValueError(f"a head has {budget!r:.40} for a budget")
    return Head(model, think, budget)


def _probed(header: Mapping[str, Any], heads: int) -> list[int]:
    found = header["probed"]
    if not isinstance(found, list) or not all(type(head) is int and 0 <= head < heads for head in found):
        raise ValueError("probed names heads that are not there")
    return found


def _reveals(head: int, weights: Mapping[str, NDArray[Any]]) -> ProbeValueModel:
    before, after = weights[f"probed{head}_before"], weights[f"probed{head}_after"]
    if (
        before.ndim != 1
        or not len(before)
        or after.ndim != 2
        or len(after) != len(before)
        or np.any(np.diff(before) <= 0)
    ):
        raise ValueError(f"what probes of head {head} reveal has another shape")
    return ProbeValueModel(before, after)


def _two(numbers: Sequence[float]) -> tuple[float, float]:
    slope, offset = map(float, numbers)
    if not np.isfinite([slope, offset]).all():
        raise ValueError("strangeness holds numbers that are none")
    return slope, offset


def _stage(prefix: str, weights: Mapping[str, NDArray[Any]], heads: int, inputs: int) -> Stage:
    parts = {name: weights[f"{prefix}tree_{name}"] for name in _TREE_ARRAYS}
    # In the machine's own integers, which index arrays without being converted at every step.
    parts["feature"] = parts["feature"].astype(np.intp)
    parts["values"] = parts["values"].astype(np.float32)
    outputs = 3 * heads
    if parts["values"].shape[2:] != (outputs,) or parts["base"].shape != (outputs,):
        raise ValueError(f"{heads} heads need {outputs} outputs, the trees have {parts['values'].shape[2:]}")
    trees, leaves = parts["values"].shape[:2]
    splits = parts["feature"].shape
    shaped = parts["threshold"].shape == parts["rules_out"].shape == splits
    if len(splits) != 2 or splits[1] != trees or not shaped or not 0 < leaves <= MOST_LEAVES:
        raise ValueError("the trees have another shape")
    if parts["feature"].size and not 0 <= parts["feature"].min() <= parts["feature"].max() < inputs:
        raise ValueError("trees and features do not fit together")
    parts["rules_out"] = _rules(parts["rules_out"], leaves)
    calibration, token_scale = weights[f"{prefix}calibration"], weights[f"{prefix}token_scale"]
    if calibration.shape != (heads, 4) or token_scale.shape != (heads, 2):
        raise ValueError(f"{heads} heads, calibrated are {calibration.shape[:1]} and scaled {token_scale.shape[:1]}")
    # Without any, counts are as forecast.
    spread = weights.get(f"{prefix}spread", np.zeros((heads, 2, 2, len(LEVELS)), np.float16)).astype(np.float32)
    if spread.shape != (heads, 2, 2, len(LEVELS)):
        raise ValueError(f"{heads} heads, the spread of tokens has {spread.shape}")
    return Stage(Trees(**parts), calibration, token_scale, spread)


def _rules(rules_out: NDArray[Any], leaves: int) -> NDArray[np.uint32]:
    """ValueError: a row could be left without a leaf."""
    if rules_out.dtype != np.uint32:
        raise ValueError("the trees have another shape")
    everything = np.bitwise_or.reduce(rules_out, axis=0) if len(rules_out) else np.zeros(0, np.uint32)
    if np.any(np.bitwise_count(everything & ~(everything + np.uint32(1))) >= leaves):
        raise ValueError("the trees rule out all of their leaves")
    return rules_out
