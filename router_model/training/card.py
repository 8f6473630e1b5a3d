"""The card of a router artifact: what it was trained on and how good it was on prompts it had not seen."""

from __future__ import annotations

from collections.abc import Sequence

from router_model.model.artifact import Artifact

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


def _probes(artifact: Artifact) -> str:
    names = [artifact.heads[i].name for i in sorted(artifact.probed)]
    return f"Probes it has learned from: {', '.join(names)}." if names else "It has learned from no probes."


def text(artifact: Artifact, files: Sequence[str], notes: str = "") -> str:
    """CARD.md. `files` are names of outcome tables; `notes` is added under the data."""
    about = artifact.about
    shown = about["datasets"]
    datasets = ", ".join(shown[:12]) + (f" and {len(shown) - 12} more" if len(shown) > 12 else "")
    directions = artifact.projection.shape[1]
    return f"""# Router artifact `{artifact.version}`

Forecasts P(correct), thinking tokens and answer tokens for each effort below: from a request, and after a probe (a
short answer without thinking) from both. {_probes(artifact)}

## Data
{", ".join(files)}: {about["prompts"]} prompts in {about["groups"]} phrasings or questions of {len(shown)} data sets
({datasets}).
{notes}
## Model
{about["trees"]} boosted trees with one value per effort in each leaf, over structural counts of the request and
{directions} directions of its terms; calibrated per effort, non-decreasing over thinking budgets.

## Figures
{about["folds"]}-fold cross-validation; no fold shares a phrasing (or, without that column, a question) with its
training data.

```
{summary(artifact)}
```

Not shown to hold for kinds of work that are not in the data: text says which kind of task a prompt is, and little about
kinds never seen.
"""
