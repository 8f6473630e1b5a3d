"""The model card: measured outcomes of one model by family, level and budget."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from router_model import extras
from router_model.data import output_files
from router_model.reasoner import compare
from router_model.reasoner.modes import mode_of, order
from router_model.rendering import render

Rows = Sequence[Mapping[str, Any]]
_LEVELS = (("1-2", 1, 2), ("3-5", 3, 5), ("6+", 6, 99))

_ABOUT = {
    "tiny": "The merged model: `enable_thinking` decides, on by default.",
    "tiny-instruct": "The Instruct half of the split pair: never thinks.",
    "tiny-thinking": "The Thinking half of the split pair: always thinks; its prompt opens the reasoning block.",
}


def table(rows: Rows) -> str:
    """Markdown: accuracy % / mean completion tokens per family, level group and mode."""
    modes = sorted({mode_of(row) for row in rows}, key=order)
    lines = [f"| task | level | n | {' | '.join(modes)} |", "|---|---|---|" + "---|" * len(modes)]
    for task in dict.fromkeys(row["task"] for row in sorted(rows, key=lambda r: (r["kind"] == "instruct", r["task"]))):
        own = [row for row in rows if row["task"] == task]
        groups = _LEVELS if own[0]["kind"] == "reasoning" else (("all", 1, 99),)
        for name, low, high in groups:
            lines += _line(task, name, [row for row in own if low <= row["level"] <= high], modes)
    for kind in ("reasoning", "instruct"):
        lines += _line(f"**{kind}**", "all", [row for row in rows if row["kind"] == kind], modes)
    lines += _line("**all**", "all", rows, modes)
    return "\n".join(lines)


def _line(task: str, level: str, rows: Rows, modes: Iterable[str]) -> list[str]:
    if not rows:
        return []
    cells = []
    for mode in modes:
        chosen = [row for row in rows if mode_of(row) == mode]
        accuracy = sum(row["correct"] for row in chosen) / len(chosen)
        cells.append(f"{100 * accuracy:.0f}/{sum(row['completion_tokens'] for row in chosen) / len(chosen):.0f}")
    return [f"| {task} | {level} | {len({row['prompt_id'] for row in rows})} | {' | '.join(cells)} |"]


def card(model: str, rows: Rows) -> str:
    """The whole card as Markdown."""
    prompts = len({row["prompt_id"] for row in rows})
    given: dict[str, Any] = {"model": model, "about": _ABOUT[model], "prompts": prompts, "table": table(rows)}
    return render("router_model.reasoner", "card.md.jinja", **given)


def comparison(releases: Sequence[Rows]) -> str:
    """The section that compares the merged model with the split pair."""
    return render("router_model.reasoner", "comparison.md.jinja", table=compare.table(releases))


@click.command()
@click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True),
    multiple=True,
    required=True,
    help="Outcome tables, one for each seed; the first is of the weights.",
)
@click.option("--weights", type=click.Path(path_type=Path, exists=True), required=True, help="Folder of model folders.")
def main(data: tuple[Path, ...], weights: Path) -> None:
    """Write MODEL_CARD.md into the folder of every model in the first table."""
    extras.need("learn")
    import pyarrow.parquet as pq

    releases = [pq.read_table(path).to_pylist() for path in data]
    rows = releases[0]
    for model in sorted({row["model"] for row in rows} & set(_ABOUT)):
        text = card(model, [row for row in rows if row["model"] == model])
        if model == compare.MERGED:
            text += comparison(releases)
        path = weights / model / "MODEL_CARD.md"
        output_files.put(path, text)
        click.echo(path)


if __name__ == "__main__":
    main()
