"""Artifacts: the same numbers after a round trip, the same file from the same data, and refusal of all others."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from router_model import artifact, outcomes, predict, train
from router_model.artifact import ArtifactError
from tests.router_model.conftest import SMALL

QUESTION = [{"role": "user", "content": "Add these: 12 and 55 and 71 and 40 and 38"}]


def test_training_twice_gives_the_same_bytes(table_path: Path, artifact_path: Path, tmp_path: Path) -> None:
    train.run([table_path], tmp_path / "sums", settings=SMALL, say=lambda line: None)
    for name in ("artifact.json", "weights.npz", "CARD.md"):
        assert (tmp_path / "sums" / name).read_bytes() == (artifact_path / name).read_bytes()


def test_a_round_trip_keeps_every_forecast(table_path: Path, artifact_path: Path, tmp_path: Path) -> None:
    kept = train.trainable(outcomes.read([table_path]), lambda line: None)
    trained = predict.Predictor(train.train(kept, "sums", SMALL, lambda line: None))
    loaded = predict.load(artifact_path)
    assert loaded.version == trained.version and loaded.heads == trained.heads
    for prompt in kept.prompts[:20]:
        assert loaded.forecast(prompt.messages) == trained.forecast(prompt.messages)
    assert loaded.price_for_dial(0.4) == trained.price_for_dial(0.4)
    artifact.save(loaded.artifact, tmp_path / "again", "card")
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
        ({"heads": [{"model": "m"}]}, "corrupt"),
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
        "import sys, router_model.predict\n"
        "print([m for m in ('sklearn', 'scipy', 'pyarrow', 'torch', 'matplotlib', 'pandas') if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
