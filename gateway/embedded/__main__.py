"""`python -m gateway.embedded`: the engine alone."""

from __future__ import annotations

from pathlib import Path

import click

from gateway.embedded.server import run


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=0, show_default=True, help="0 takes a free one.")
@click.option("--weights", type=click.Path(path_type=Path), help="Folder of the model folders.")
@click.option("--max-batch", default=32, show_default=True, help="Answers written at once, per model.")
@click.option("--max-queue", default=256, show_default=True, help="Answers that may wait, per model.")
def main(host: str, port: int, weights: Path | None, max_batch: int, max_queue: int) -> None:
    """Serve the tiny models in vLLM's dialect."""
    run(host, port, weights, max_batch, max_queue)


if __name__ == "__main__":
    main()
