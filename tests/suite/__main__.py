"""`python -m tests.suite`: a router's figures on the suite, view by view."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import click

from tests.suite import decisions, views
from tests.suite.figures import Figures

TITLES = ("prompts", "rho", "by gain", "trivial", "hard", "pairs", "p. gain", "fallb.")


@click.command()
@click.option("--router", default="prior", show_default=True, help="An artifact, by name or folder.")
@click.option("--dial", default=0.5, show_default=True)
@click.option("--seed", default=0, show_default=True, help="What stands around each prompt is drawn by it.")
@click.option("--view", "chosen", multiple=True, type=click.Choice(views.VIEWS), help="Only this view.")
@click.option("--by", type=click.Choice(["kind", "language"]), help="Also by this property.")
@click.option("--json", "path", type=click.Path(dir_okay=False, path_type=Path), help="Figures and decisions.")
def main(router: str, dial: float, seed: int, chosen: tuple[str, ...], by: str | None, path: Path | None) -> None:
    """Print how well a router's decisions follow the grades of the suite, view by view."""
    click.echo(f"{router} at dial {dial:g}, text alone; trivial, hard: share that thinks")
    click.echo(f"{'view':20s}" + "".join(f"{title:>9s}" for title in TITLES))
    written = {}
    with tempfile.TemporaryDirectory() as folder, decisions.gateway(router, dial, Path(folder)) as running:
        for view in chosen or views.VIEWS:
            decided = decisions.decide(running, views.cases(view, seed))
            found = decisions.judged(decided)
            click.echo(_line(view, found))
            for name in sorted({getattr(one.case, by) for one in decided}) if by else ():
                click.echo(_line(f"  {name}", decisions.judged([d for d in decided if getattr(d.case, by) == name])))
            rows = [[d.case.id, d.case.around, d.case.difficulty, d.effort, d.reason, d.gain] for d in decided]
            written[view] = found._asdict() | {"decisions": rows}
    if path:
        path.write_text(json.dumps(written), "utf-8")


def _line(name: str, found: Figures) -> str:
    return f"{name:20s}{found.prompts:9d}" + "".join(f"{one:9.3f}" for one in found[1:])


if __name__ == "__main__":
    main()
