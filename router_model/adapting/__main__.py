"""`python -m router_model.adapting`: train the prior."""

from __future__ import annotations

from pathlib import Path

import click

from router_model import extras


@click.command()
@click.option("--data", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True)
@click.option("--kinds", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True)
def main(data: Path, kinds: Path, out: Path) -> None:
    """Train the prior on kinds of work, written prompts, and a table of public outcomes."""
    extras.need("learn")
    from router_model.adapting import prior
    from router_model.data.outcomes import OutcomeError
    from router_model.model import artifact_writer
    from router_model.training import card

    try:
        artifact, text = prior.build(data, kinds, out.name, say=click.echo)
    except OutcomeError as error:
        raise click.ClickException(str(error)) from error
    artifact_writer.save(artifact, out, text)
    click.echo(card.summary(artifact))


if __name__ == "__main__":
    main()
