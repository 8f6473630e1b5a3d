"""Artifacts: the same numbers after a round trip, the same file from the same data, and refusal of all others."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from router_model.data import outcome_reader
from router_model.model import artifact_writer, predict
from router_model.model.artifact import ArtifactError
from router_model.model.artifact_file import MOST_BYTES, MOST_HEADER_BYTES
from router_model.training import selection, train
from tests.router_model.conftest import SMALL

QUESTION = [{"role": "user", "content": "Add these: 12 and 55 and 71 and 40 and 38"}]


def test_training_twice_gives_the_same_bytes(table_path: Path, artifact_path: Path, tmp_path: Path) -> None:
    train.run([table_path], tmp_path / "sums", settings=SMALL, say=lambda line: None)
    for name in ("artifact.json", "weights.npz", "CARD.md"):
        assert (tmp_path / "sums" / name).read_bytes() == (artifact_path / name).read_bytes()


def test_a_round_trip_keeps_every_forecast(table_path: Path, artifact_path: Path, tmp_path: Path) -> None:
    kept = selection.trainable(outcome_reader.read([table_path]), lambda line: None)
    trained = predict.Predictor(train.train(kept, "sums", SMALL, lambda line: None))
    loaded = predict.load(artifact_path)
    assert loaded.version == trained.version and loaded.heads == trained.heads
    for prompt in kept.prompts[:20]:
        assert loaded.forecast(prompt.messages) == trained.forecast(prompt.messages)
    assert loaded.price_for_dial(0.4) == trained.price_for_dial(0.4)
    artifact_writer.save(loaded.artifact, tmp_path / "again", "card")
    assert (tmp_path / "again" / "weights.npz").read_bytes() == (artifact_path / "weights.npz").read_bytes()


def broken(path: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(path, tmp_path / "broken"))


def test_a_truncated_artifact_is_refused(artifact_path: Path, tmp_path: Path) -> None:
    copy = broken(artifact_path, tmp_path)
    weights = (copy / "weights.npz").read_bytes()
    (copy / "weights.npz").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(ArtifactError, match="corrupt or truncated"):
        predict.load(copy)
    (copy / "weights.npz").unlink()
    with pytest.raises(ArtifactError, match=r"weights.npz cannot be read"):
        predict.load(copy)
    (copy / "artifact.json").write_text("{")
    with pytest.raises(ArtifactError, match=r"artifact.json cannot be read"):
        predict.load(copy)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 99}, "a newer Thinkgate wrote it"),
        ({"format": None}, "train it again"),
        ({"features": {"version": 0}}, "other prompt features"),
        ({"heads": []}, "corrupt"),
        ({"heads": [{"model": "m"}]}, "corrupt: 'think' is missing"),
        ({"format": "4"}, "has format 4"),
        ({"format": 4.5}, "a newer Thinkgate wrote it"),
        ({"heads": [{"model": 7, "think": True, "budget": None}]}, "a head has no valid `model`"),
        ({"heads": [{"model": "m", "think": True, "budget": "8"}]}, "a head has the invalid budget '8'"),
        ({"heads": None}, "corrupt"),
        ({"version": "a\r\nset-cookie: b"}, "is not a valid version"),
        ({"version": "../../etc"}, "is not a valid version"),
        ({"version": None, "about": None}, "corrupt"),
        ({"probed": [0, 99]}, "probed names heads that do not exist"),
        ({"probed": ["../0"]}, "probed names heads that do not exist"),
        ({"strangeness": [float("nan"), 0.0]}, "strangeness needs two finite numbers"),
        ({"strangeness": [1.0]}, "corrupt"),
        ({"weights_sha256": None}, "does not match its checksum"),
    ],
)
def test_artifacts_of_another_kind_are_refused(
    change: dict[str, object], message: str, artifact_path: Path, tmp_path: Path
) -> None:
    copy = broken(artifact_path, tmp_path)
    header = json.loads((copy / "artifact.json").read_text())
    (copy / "artifact.json").write_text(json.dumps(header | change))
    with pytest.raises(ArtifactError, match=message) as caught:
        predict.load(copy)
    assert "\n" not in str(caught.value)


def rewritten(folder: Path, change: Callable[[dict[str, np.ndarray]], None]) -> None:
    """Other numbers, with the checksum that belongs to them: what a checksum cannot find."""
    with np.load(folder / "weights.npz") as archive:
        arrays = {name: archive[name] for name in archive.files}
    change(arrays)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    signed(folder, buffer.getvalue())


def signed(folder: Path, weights: bytes) -> None:
    header = json.loads((folder / "artifact.json").read_text())
    header["weights_sha256"] = hashlib.sha256(weights).hexdigest()
    (folder / "weights.npz").write_bytes(weights)
    (folder / "artifact.json").write_text(json.dumps(header))


SHAPES = {
    "calibration": np.zeros((2, 4), np.float32),
    "token_scale": np.zeros((6, 3), np.float32),
    "tree_base": np.zeros(3, np.float32),
    "tree_values": np.zeros((40, 16, 6), np.float32),
    "tree_feature": np.full((15, 40), -1, np.int32),
    "tree_threshold": np.zeros((2, 2), np.float32),
    "tree_rules_out": np.full((15, 40), 2**32 - 1, np.uint32),
    "projection": np.zeros(4, np.float16),
    "vocabulary": np.frombuffer(b"a\nb", np.uint8),
    "probed0_before": np.zeros(3, np.float64),
    "probed0_after": np.zeros((1, 9), np.float64),
    "probed0_calibration": np.zeros((6, 5), np.float32),
    "trial_p": np.zeros((5, 6), np.float16),
    "trial_strange": np.zeros(5, np.float16),
    "seen": np.array(["a", "b"]),
}


@pytest.mark.parametrize("name", SHAPES)
def test_arrays_of_another_shape_or_without_numbers_are_refused(name: str, artifact_path: Path, tmp_path: Path) -> None:
    def shape(arrays: dict[str, np.ndarray]) -> None:
        assert name in arrays
        arrays[name] = SHAPES[name]

    def nan(arrays: dict[str, np.ndarray]) -> None:
        arrays[name] = np.full(arrays[name].shape, np.nan)

    def drop(arrays: dict[str, np.ndarray]) -> None:
        del arrays[name]

    for number, change in enumerate((shape, nan, drop)):
        if change is nan and name in ("trial_p", "trial_strange"):
            continue  # what was not measured may be unknown
        copy = Path(shutil.copytree(artifact_path, tmp_path / str(number)))
        rewritten(copy, change)
        with pytest.raises(ArtifactError, match="corrupt") as caught:
            predict.load(copy)
        assert "\n" not in str(caught.value)


def test_archives_with_tricks_are_refused(artifact_path: Path, tmp_path: Path) -> None:
    copy = broken(artifact_path, tmp_path)
    whole = (copy / "weights.npz").read_bytes()
    for trick in (b"", b"PK\x05\x06" + bytes(18), whole[:-40], whole.replace(b"tree_base", b"../e_base")):
        signed(copy, trick)
        with pytest.raises(ArtifactError, match="corrupt"):
            predict.load(copy)
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("zeros.npy", "w") as member:
        for _ in range(MOST_BYTES // 2**24 + 1):
            member.write(bytes(2**24))
    signed(copy, bomb.getvalue())
    with pytest.raises(ArtifactError, match="bytes unpacked"):
        predict.load(copy)
    signed(copy, pickled())
    with pytest.raises(ArtifactError, match="corrupt"):
        predict.load(copy)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken"]


def pickled() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, vocabulary=np.array([{"an": "object"}], dtype=object))
    return buffer.getvalue()


def test_files_that_are_none_are_refused_and_not_waited_for(artifact_path: Path, tmp_path: Path) -> None:
    copy = broken(artifact_path, tmp_path)
    (copy / "weights.npz").unlink()
    os.mkfifo(copy / "weights.npz")
    with pytest.raises(ArtifactError, match="not a regular file"):
        predict.load(copy)
    (copy / "weights.npz").unlink()
    (copy / "weights.npz").symlink_to("/dev/zero")
    with pytest.raises(ArtifactError, match="not a regular file"):
        predict.load(copy)
    (copy / "artifact.json").write_text("[" * 100_000)
    with pytest.raises(ArtifactError, match=r"artifact\.json cannot be read"):
        predict.load(copy)
    (copy / "artifact.json").write_bytes(bytes(MOST_HEADER_BYTES + 1))
    with pytest.raises(ArtifactError, match="larger than"):
        predict.load(copy)
    for name in ("../tiny", "tiny/..", "", ".", "/", "tiny\0"):
        with pytest.raises(ArtifactError, match="no router artifact"):
            predict.load(name)


def test_an_unknown_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no router artifact at nowhere"):
        predict.load("nowhere")
    with pytest.raises(ArtifactError, match="no router artifact"):
        predict.load(tmp_path)


def test_forecasts_are_sane_and_monotone(artifact_path: Path) -> None:
    predictor = predict.load(artifact_path).restricted({"m"})
    assert [head.name for head in predictor.heads] == [
        "m/nothink", "m/budget-8", "m/budget-16", "m/budget-32", "m/budget-64", "m/think",
    ]  # fmt: skip
    p, thinking, answer = predictor.forecast(QUESTION)
    assert all(0 <= value <= 1 for value in p) and all(value >= 0 for value in answer)
    assert thinking[0] == 0 and p[0] < 0.5 < p[-1]
    assert all(value <= (head.budget or np.inf) for head, value in zip(predictor.heads, thinking, strict=True))
    assert p[1:] == sorted(p[1:]) and thinking == sorted(thinking)


def test_a_restricted_artifact_forecasts_the_same(artifact_path: Path) -> None:
    whole = predict.load(artifact_path)
    part = whole.restricted({"m"})
    assert part.version == whole.version
    kept = [whole.heads.index(head) for head in part.heads]
    for restricted, full in zip(part.forecast(QUESTION), whole.forecast(QUESTION), strict=True):
        assert restricted == [full[i] for i in kept]
    with pytest.raises(ValueError, match="at least one head"):
        whole.restricted({"other"})


def test_a_dearer_dial_never_costs_more(artifact_path: Path) -> None:
    predictor = predict.load(artifact_path).restricted({"m"})
    prices = [predictor.price_for_dial(x) for x in np.linspace(0, 1, 21)]
    assert prices[-1] == 0 and prices[0] >= 1
    assert all(dear >= cheap for dear, cheap in pairwise(prices))


def test_the_running_gateway_needs_numpy_only() -> None:
    script = (
        "import sys, router_model.model.predict\n"
        "print([m for m in ('sklearn', 'scipy', 'pyarrow', 'torch', 'matplotlib', 'pandas') if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
