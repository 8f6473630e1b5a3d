"""Writes a router artifact: equal artifacts give equal bytes, and the version is a hash of the arrays."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router_model.data import output_files
from router_model.model import artifact_file
from router_model.model.artifact import FORMATS, TREE_ARRAYS, Artifact, Head, Stage, feature_layout


def save(artifact: Artifact, folder: Path, card: str) -> None:
    """Write the artifact, with reproducible bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = _arrays(artifact)
    weights = artifact_file.pack(arrays)
    header = {
        "format": FORMATS[_by_probability(artifact)],
        "version": artifact.version,
        "features": feature_layout(artifact.features),
        "probed": sorted(artifact.probed),
        "strangeness": list(artifact.ood_calibration),
        "heads": [{"model": h.model, "think": h.think, "budget": h.budget} for h in artifact.heads],
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
        "about": dict(artifact.about),
        **({"by_probability": True} if _by_probability(artifact) else {}),
        **({} if artifact.ordered is None else {"ordered": sorted(artifact.ordered)}),
        **({"over_budget": _over_budget(artifact)} if artifact.over_budget else {}),
    }
    # Files are replaced atomically, and the header with the checksum last, since a gateway may be reading.
    output_files.put_together(
        {
            folder / "CARD.md": card.encode(),
            folder / "weights.npz": weights,
            folder / "artifact.json": (json.dumps(header, indent=1) + "\n").encode(),
        }
    )


def _arrays(artifact: Artifact) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {
        # Terms contain no line feeds: white space in them was replaced by a space.
        "vocabulary": np.frombuffer(b"\n".join(artifact.vocabulary), np.uint8),
        "projection": artifact.projection.astype(np.float16),
        "seen": artifact.seen,
        **artifact.held_out.arrays(),
        **_stage_arrays("", artifact.text_stage),
    }
    if artifact.need is not None:
        arrays |= artifact.need.arrays()
    for head, probed in sorted(artifact.probed.items()):
        arrays |= _stage_arrays(f"probed{head}_", probed.stage)
        arrays[f"probed{head}_before"], arrays[f"probed{head}_after"] = probed.reveals.before, probed.reveals.after
    return arrays


def numbers(artifact: Artifact) -> dict[str, NDArray[Any]]:
    """The arrays that determine the version: all that forecasts depend on."""
    arrays = _arrays(artifact)
    if artifact.ordered is not None:
        arrays["ordered"] = np.frombuffer("\n".join(sorted(artifact.ordered)).encode(), np.uint8)
    if _by_probability(artifact):
        arrays["by_probability"] = np.ones(1, np.bool_)
    if artifact.over_budget:
        arrays["over_budget"] = np.array(_over_budget(artifact), np.int32)
    return {name: arrays[name] for name in arrays if name not in ("vocabulary", "seen")}


def _by_probability(artifact: Artifact) -> bool:
    return artifact.text_stage.by_probability


def _over_budget(artifact: Artifact) -> list[int]:
    return [i for i, head in enumerate(artifact.heads) if head in artifact.over_budget]


def _stage_arrays(prefix: str, stage: Stage) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {f"{prefix}tree_{name}": getattr(stage.trees, name) for name in TREE_ARRAYS}
    arrays[f"{prefix}tree_feature"] = stage.trees.feature.astype(np.int32)
    arrays[f"{prefix}tree_values"] = stage.trees.values.astype(np.float16)
    arrays[f"{prefix}spread"] = stage.spread.astype(np.float16)
    return arrays | {f"{prefix}calibration": stage.calibration, f"{prefix}token_scale": stage.token_scale}


def version_of(name: str, parts: Mapping[str, NDArray[Any]], heads: tuple[Head, ...]) -> str:
    """`<name>-<8 hex digits>`: the digits are a hash of the arrays."""
    digest = hashlib.sha256(repr(heads).encode())
    for key in sorted(parts):
        digest.update(key.encode())
        digest.update(np.ascontiguousarray(parts[key]).tobytes())
    return f"{name}-{digest.hexdigest()[:8]}"
