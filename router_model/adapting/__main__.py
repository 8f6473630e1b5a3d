"""`python -m router_model.adapting`: train the prior on a table of public outcomes."""

from __future__ import annotations

from pathlib import Path

import click

from router_model import extras


@click.command()
@click.option("--data", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True)
def main(data: Path, out: Path) -> None:
    """Train the prior on a table of public outcomes."""
    extras.need("learn")
    from router_model.adapting import public_pretrain
    from router_model.data.outcomes import OutcomeError
    from router_model.model import artifact_writer
    from router_model.training import card

    try:
        artifact, text = public_pretrain.build(data, out.name, click.echo)
    except OutcomeError as error:
        raise click.ClickException(str(error)) from error
    artifact_writer.save(artifact, out, text)
    click.echo(card.summary(artifact))


if __name__ == "__main__":
    main()
