"""The router artifact on disk: artifact.json (what it is), weights.npz (numbers) and CARD.md (for people)."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router_model.features import DENSE_NAMES, FEATURES_VERSION
from router_model.trees import F32, Trees

FORMAT = 2
SHIPPED = Path(__file__).parent / "artifacts"
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
class Dial:
    """Cross-validated forecasts of training traffic, by which a dial position becomes a price. All [prompts, heads].

    `tokens` is what was really spent where that was measured, `forecast` what the router expected.
    """

    p_correct: F32
    forecast: F32
    tokens: F32


@dataclass(frozen=True, slots=True)
class Artifact:
    """Everything a predictor needs.

    `vocabulary` names the row of `projection` [terms, k] of each term. `calibration` [heads, 2] is slope and offset of
    the logit, `token_scale` [heads, 2] corrects mean thinking and answer tokens.
    `seen` are the sorted hashes of the prompts it was trained on.
    """

    version: str
    heads: tuple[Head, ...]
    trees: Trees
    vocabulary: Mapping[bytes, int]
    projection: F32
    calibration: F32
    token_scale: F32
    dial: Dial
    seen: NDArray[np.uint64]
    about: Mapping[str, Any]

    def restricted(self, heads: Sequence[int]) -> Artifact:
        """Only these heads. ValueError: none."""
        if not heads:
            raise ValueError("an artifact has at least one head")
        outputs = np.concatenate([np.array(heads) + part * len(self.heads) for part in range(3)])
        return replace(
            self,
            heads=tuple(self.heads[i] for i in heads),
            trees=self.trees.restricted(outputs),
            calibration=self.calibration[heads],
            token_scale=self.token_scale[heads],
            dial=Dial(self.dial.p_correct[:, heads], self.dial.forecast[:, heads], self.dial.tokens[:, heads]),
        )


def fingerprint(text: str) -> np.uint64:
    """The hash by which `seen` remembers a question's stem."""
    return np.uint64(int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big"))


def save(artifact: Artifact, folder: Path, card: str) -> None:
    """Write the artifact; the same artifact always gives the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = _arrays(artifact)
    weights = _npz(arrays)
    header = {
        "format": FORMAT,
        "version": artifact.version,
        "features": _features(),
        "heads": [{"model": h.model, "think": h.think, "budget": h.budget} for h in artifact.heads],
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
        "about": dict(artifact.about),
    }
    (folder / "weights.npz").write_bytes(weights)
    (folder / "artifact.json").write_text(json.dumps(header, indent=1) + "\n", encoding="utf-8")
    (folder / "CARD.md").write_text(card, encoding="utf-8")


def _features() -> dict[str, int]:
    return {"version": FEATURES_VERSION, "dense": len(DENSE_NAMES)}


def _arrays(artifact: Artifact) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {f"tree_{name}": getattr(artifact.trees, name) for name in _TREE_ARRAYS}
    arrays["tree_feature"] = artifact.trees.feature.astype(np.int32)
    arrays["tree_values"] = artifact.trees.values.astype(np.float16)
    arrays |= {
        # Terms hold no line break: all space in them has become one blank.
        "vocabulary": np.frombuffer(b"\n".join(artifact.vocabulary), np.uint8),
        "projection": artifact.projection.astype(np.float16),
        "calibration": artifact.calibration,
        "token_scale": artifact.token_scale,
        "dial_p_correct": artifact.dial.p_correct.astype(np.float16),
        "dial_forecast": artifact.dial.forecast.astype(np.float16),
        "dial_tokens": artifact.dial.tokens.astype(np.float16),
        "seen": artifact.seen,
    }
    return arrays


def _npz(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """A compressed npz without time stamps, so that equal artifacts are equal files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            body = io.BytesIO()
            np.lib.format.write_array(body, np.ascontiguousarray(array), allow_pickle=False)
            archive.writestr(
                zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0)), body.getvalue(), zipfile.ZIP_DEFLATED
            )
    return buffer.getvalue()


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
    shipped = SHIPPED / path
    if len(path.parts) == 1 and (shipped / "artifact.json").is_file():
        return shipped
    names = sorted(p.parent.name for p in SHIPPED.glob("*/artifact.json"))
    raise ArtifactError(
        f"no router artifact at {path_or_name} (no artifact.json); shipped by name: {', '.join(names) or 'none'}"
    )


def load(path_or_name: str | Path) -> Artifact:
    """Read and check an artifact. Raises ArtifactError: missing, corrupt, truncated, or of another version."""
    folder = folder_of(path_or_name)
    header = _header(folder)
    weights = _weights(folder, header)
    try:
        return _assemble(header, weights)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ArtifactError(f"router artifact {folder} is corrupt: {type(error).__name__}: {error}") from None


def _header(folder: Path) -> dict[str, Any]:
    try:
        header = json.loads((folder / "artifact.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"router artifact {folder}: artifact.json cannot be read ({error})") from None
    found = header.get("format") if isinstance(header, dict) else None
    if found != FORMAT:
        newer = isinstance(found, int) and found > FORMAT
        advice = "a newer Thinkgate wrote it, upgrade to use it" if newer else "train it again"
        raise ArtifactError(
            f"router artifact {folder} has format {found}, this version reads format {FORMAT}: {advice}"
        )
    if header.get("features") != _features():
        raise ArtifactError(
            f"router artifact {folder} was trained on other prompt features ({header.get('features')}): train it again"
        )
    return header  # type: ignore[no-any-return]


def _weights(folder: Path, header: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    try:
        data = (folder / "weights.npz").read_bytes()
    except OSError as error:
        raise ArtifactError(f"router artifact {folder}: weights.npz cannot be read ({error.strerror})") from None
    if hashlib.sha256(data).hexdigest() != header.get("weights_sha256"):
        raise ArtifactError(
            f"router artifact {folder} is corrupt or truncated: weights.npz does not match its checksum"
        )
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise ArtifactError(f"router artifact {folder} is corrupt: {error}") from None


def inputs_of(projection: NDArray[Any]) -> int:
    """How many numbers the trees read."""
    return len(DENSE_NAMES) + int(projection.shape[1])


def _assemble(header: Mapping[str, Any], weights: Mapping[str, NDArray[Any]]) -> Artifact:
    heads = tuple(Head(str(h["model"]), bool(h["think"]), h["budget"]) for h in header["heads"])
    parts = {name: weights[f"tree_{name}"] for name in _TREE_ARRAYS}
    # In the machine's own integers, which index arrays without being converted at every step.
    parts["feature"] = parts["feature"].astype(np.intp)
    parts["values"] = parts["values"].astype(np.float32)
    outputs = 3 * len(heads)
    if parts["values"].shape[2:] != (outputs,) or parts["base"].shape != (outputs,):
        raise ValueError(f"{len(heads)} heads need {outputs} outputs, the trees have {parts['values'].shape[2:]}")
    terms = weights["vocabulary"].tobytes().split(b"\n") if weights["vocabulary"].size else []
    if len(terms) != len(weights["projection"]) or parts["feature"].max() >= inputs_of(weights["projection"]):
        raise ValueError("terms, projection and trees do not fit together")
    return Artifact(
        version=str(header["version"]),
        heads=heads,
        trees=Trees(**parts),
        vocabulary={term: row for row, term in enumerate(terms)},
        projection=weights["projection"].astype(np.float32),
        calibration=weights["calibration"],
        token_scale=weights["token_scale"],
        dial=Dial(*(weights[f"dial_{name}"].astype(np.float32) for name in ("p_correct", "forecast", "tokens"))),
        seen=weights["seen"],
        about=header["about"],
    )
