"""`python -m router_model.tasks`: writes prompts of the suite to a tasks.jsonl."""

from __future__ import annotations

from pathlib import Path

import click

from router_model.tasks.suite import FAMILIES, ROUTER_NEW_FAMILIES, generate, write_jsonl


@click.command()
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True)
@click.option("--n", default=3000, show_default=True, help="Number of prompts.")
@click.option("--seed", default=1, show_default=True)
@click.option(
    "--for",
    "purpose",
    type=click.Choice(["router", "new-phrasings", "new-families", "all"]),
    default="router",
    show_default=True,
    help="Wordings and families for training routers, or those excluded from it.",
)
def main(out: Path, n: int, seed: int, purpose: str) -> None:
    """Write prompts of problems that are held out of the models' training."""
    known = [name for name in FAMILIES if name not in ROUTER_NEW_FAMILIES]
    families = {"new-families": sorted(ROUTER_NEW_FAMILIES), "all": None}.get(purpose, known)
    new_phrasings = {"router": False, "new-phrasings": True}.get(purpose)
    try:
        count = write_jsonl(generate(seed, n, families=families, new_phrasings=new_phrasings), out)
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {error.strerror}") from error
    click.echo(f"{count} prompts in {out.absolute()}")


if __name__ == "__main__":
    main()
