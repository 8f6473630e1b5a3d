"""Router artifacts for tests: the shipped one under other versions, and invalid ones."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from router_model.model import artifact_reader, artifact_writer


def good(folder: Path, number: int) -> str:
    """Write an artifact that forecasts almost as the shipped one does; returns its version."""
    shipped = artifact_reader.load("tiny")
    calibration = (shipped.text_stage.calibration * (1 + number / 1000)).astype(np.float32)
    made = replace(shipped, text_stage=replace(shipped.text_stage, calibration=calibration), version=f"good-{number}")
    artifact_writer.save(made, folder, "A test's.")
    return made.version


def corrupt(folder: Path) -> str:
    """Returns the expected error message."""
    weights = bytearray((folder / "weights.npz").read_bytes())
    weights[len(weights) // 2] ^= 1
    (folder / "weights.npz").write_bytes(weights)
    return "corrupt"


def truncated(folder: Path) -> str:
    header = (folder / "artifact.json").read_bytes()
    (folder / "artifact.json").write_bytes(header[: len(header) // 2])
    return "artifact.json cannot be read"


def of_the_future(folder: Path) -> str:
    header = json.loads((folder / "artifact.json").read_text("utf-8"))
    (folder / "artifact.json").write_text(json.dumps(header | {"format": 99}), "utf-8")
    return "a newer Thinkgate wrote it"


def gone(folder: Path) -> str:
    (folder / "artifact.json").unlink()
    return "no router artifact at"
