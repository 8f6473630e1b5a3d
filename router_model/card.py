"""The card of a router artifact: what it was trained on and how good it was on prompts it had not seen."""

from __future__ import annotations

from collections.abc import Sequence

from router_model.artifact import Artifact


def summary(artifact: Artifact) -> str:
    """The cross-validated figures as a table for a terminal."""
    lines = [
        f"{'effort':34s} {'prompts':>8s} {'accuracy':>9s} {'AUC':>6s} {'ECE':>6s} {'Brier':>6s} {'tokens':>8s} {'forecast':>9s}"
    ]
    for row in artifact.about["cross_validated"]:
        cells = [
            _cell(row[key], digits)
            for key, digits in (("accuracy", 3), ("auc", 3), ("ece", 3), ("brier", 3), ("tokens", 1))
        ]
        forecast = _cell(row["tokens_forecast"], 1)
        lines.append(
            f"{row['head'][:34]:34s} {row['prompts']:>8d} {cells[0]:>9s} {cells[1]:>6s} {cells[2]:>6s} {cells[3]:>6s} {cells[4]:>8s} {forecast:>9s}"
        )
    return "\n".join(lines)


def _cell(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def text(artifact: Artifact, files: Sequence[str], notes: str = "") -> str:
    """CARD.md. `files` are names of outcome tables; `notes` is added under the data."""
    about = artifact.about
    shown = about["datasets"]
    datasets = ", ".join(shown[:12]) + (f" and {len(shown) - 12} more" if len(shown) > 12 else "")
    return f"""# Router artifact `{artifact.version}`

Forecasts, from the text of a request alone, P(correct), thinking tokens and answer tokens for each effort below.

## Data
{", ".join(files)}: {about["prompts"]} prompts in {about["groups"]} phrasings or questions of {len(shown)} data sets ({datasets}).
{notes}
## Model
{about["trees"]} boosted trees with one value per effort in each leaf, over structural counts of the request and {artifact.projection.shape[1]}
directions of its hashed n-grams; calibrated per effort, non-decreasing over thinking budgets.

## Figures
{about["folds"]}-fold cross-validation; no fold shares a phrasing (or, without that column, a question) with its training data.

```
{summary(artifact)}
```

Not shown to hold for kinds of work that are not in the data: text says which kind of task a prompt is, and little about kinds never seen.
"""
