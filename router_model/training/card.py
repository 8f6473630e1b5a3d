"""The card of a router artifact: its training data and its figures on held-out prompts."""

from __future__ import annotations

from collections.abc import Sequence

from router_model.model.artifact import Artifact
from router_model.rendering import render

_FIGURES = (("accuracy", 3), ("auc", 3), ("ece", 3), ("brier", 3), ("tokens", 1), ("tokens_forecast", 1))
_TITLES = (("accuracy", 9), ("AUC", 7), ("ECE", 7), ("Brier", 7), ("tokens", 9), ("forecast", 9))


def summary(artifact: Artifact) -> str:
    """The cross-validated figures as a table for a terminal."""
    lines = [f"{'effort':24s}{'prompts':>8s}" + "".join(f"{title:>{width}s}" for title, width in _TITLES)]
    for row in artifact.about["cross_validated"]:
        cells = "".join(
            f"{_cell(row[key], digits):>{width}s}" for (key, digits), (_, width) in zip(_FIGURES, _TITLES, strict=True)
        )
        lines.append(f"{row['head'][-24:]:24s}{row['prompts']:>8d}{cells}")
    return "\n".join(lines)


def _cell(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def text(artifact: Artifact, files: Sequence[str], notes: str = "") -> str:
    """CARD.md. `files` are names of outcome tables; `notes` is added under the data."""
    return render(
        "router_model.training",
        "card.md.jinja",
        about=artifact.about,
        version=artifact.version,
        probed=[artifact.heads[i].name for i in sorted(artifact.probed)],
        files=files,
        notes=notes,
        directions=artifact.projection.shape[1],
        ordered=sorted(artifact.ordered or ()),
        summary=summary(artifact),
    )
