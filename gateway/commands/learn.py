"""`thinkgate train`, `evaluate` and `calibrate`: run the learning side, and print its errors on one line each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from gateway.commands.lines import say
from gateway.commands.options import FILE, FORCE, NEW_FILE
from gateway.core.errors import ConfigError
from router_model import extras

RECIPE = click.Choice(["sharp", "steady", "auto"])


@contextmanager
def _learning() -> Iterator[None]:
    """ConfigError: a table or an artifact is invalid. Exits if the packages for learning are not installed."""
    extras.need("learn")
    from router_model.data.outcomes import OutcomeError
    from router_model.model.artifact import ArtifactError

    try:
        yield
    except (OutcomeError, ArtifactError) as error:
        raise ConfigError([str(error)]) from error


def _free(out: Path, force: bool) -> None:
    """ConfigError: an artifact exists, and `force` is off. OSError: the folder is not writable."""
    from router_model.data import output_files

    if (out / "artifact.json").exists() and not force:
        raise ConfigError([f"--out: {out} holds a router already: choose another folder, or replace it with --force"])
    output_files.can_put(out / "artifact.json", folders=True)


@click.command()
@click.option("--data", type=FILE, multiple=True, required=True, help="An outcome table; may be given several times.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="The artifact's folder.")
@click.option("--model", "models", multiple=True, help="Only these models' rows; default: all.")
@click.option("--generic", is_flag=True, help="Also train a head for models without data.")
@click.option("--recipe", type=RECIPE, default="sharp", help="`steady` for outcomes of few samples; auto tries both.")
@click.option(
    "--expects",
    type=click.Choice(["phrasings", "tasks"]),
    default="phrasings",
    help="What new requests will be: new phrasings of the tasks in the data, or new tasks.",
)
@FORCE
def train(data: tuple[Path, ...], out: Path, recipe: Any, expects: Any, force: bool, **chosen: Any) -> None:
    """Train a router artifact on outcome tables."""
    with _learning():
        _free(out, force)
        from router_model.training import recipes
        from router_model.training import train as trainer

        trainer.run(data, out, settings=recipes.chosen(recipe, expects), **chosen, say=say)


@click.command()
@click.option("--router", metavar="DIR|NAME", help="An artifact by folder or name; `tiny` ships.")
@click.option(
    "--leave-out",
    type=click.Choice(["prompt", "task", "dataset", "suite"]),
    help="Instead of --router: train on the rest of the data, in folds that leave these out.",
)
@click.option("--recipe", type=RECIPE, default="auto", help="With --leave-out: how to train; auto takes the best.")
@click.option("--data", type=FILE, multiple=True, required=True, help="An outcome table; may be given several times.")
@click.option("--dataset", "datasets", multiple=True, metavar="PATTERN", help="Only these data sets: `medagents/*`.")
@click.option("--no-think", metavar="MODEL/MODE[,…]", help="The cheap arm: the first of these that is in the table.")
@click.option("--think", metavar="MODEL/MODE[,…]", help="The expensive arm: the first of these that is in the table.")
@click.option(
    "--include-seen", is_flag=True, help="Also use prompts that the router was trained on; there is no verdict then."
)
@click.option("--json", "json_file", type=NEW_FILE, help="Write the figures here too.")
@click.option("--html", "html_file", type=NEW_FILE, help="Write a page with all figures, and a PNG beside it.")
def evaluate(router: str | None, data: tuple[Path, ...], **chosen: Any) -> None:
    """Evaluate a router on outcome tables, or one trained on the rest of them, against baselines."""
    with _learning():
        from router_model.evaluation import evaluate as evaluator

        evaluator.run(router, data, **chosen, say=say)


@click.command()
@click.option("--router", required=True, metavar="DIR|NAME", help="The artifact to start from; `prior` ships.")
@click.option("--data", type=FILE, multiple=True, help="A table of your own outcomes; may be given several times.")
@click.option("--out", type=click.Path(path_type=Path), help="The adapted artifact's folder; with --choose, a file.")
@click.option("--model", "models", multiple=True, help="Only these models' rows; default: all.")
@click.option("--curve", is_flag=True, help="Hold out prompts, and print the gain from growing shares of the others.")
@click.option("--no-think", metavar="MODEL/MODE", help="The cheap arm that the curve is about.")
@click.option("--think", metavar="MODEL/MODE", help="The expensive arm that the curve is about.")
@click.option("--json", "json_file", type=NEW_FILE, help="Write the curve here too.")
@click.option(
    "--choose", type=click.IntRange(1), metavar="N", help="Pick N tasks to collect next, and calibrate later."
)
@click.option("--tasks", type=FILE, help="The tasks to choose from, as `collect` takes them.")
@FORCE
def calibrate(
    router: str,
    data: tuple[Path, ...],
    out: Path | None,
    models: tuple[str, ...],
    curve: bool,
    json_file: Path | None,
    choose: int | None,
    tasks: Path | None,
    force: bool,
    **arms: Any,
) -> None:
    """Adapt a router to your own deployments with the outcomes of a few dozen prompts or more.

    \b
    thinkgate calibrate --router prior --choose 100 \\
        --tasks tasks.jsonl --out chosen.jsonl
    thinkgate collect --config thinkgate.toml \\
        --tasks chosen.jsonl --out outcomes.parquet
    thinkgate calibrate --router prior \\
        --data outcomes.parquet --out my-router

    For more rounds, run --choose with the adapted router, and with all tables collected so far as --data.
    """
    with _learning():
        from router_model.adapting import calibrate as calibrator
        from router_model.adapting import choosing, learning_curve
        from router_model.data import output_files

        faults = _calibrate_faults(data, out, curve, json_file, choose, tasks)
        if faults:
            raise ConfigError(faults)
        if choose is None and out is not None:
            _free(out, force)
        if json_file is not None:
            output_files.can_put(json_file)
        if choose is not None and tasks is not None and out is not None:
            choosing.run(router, tasks, choose, out, collected=data, say=say)
            return
        if curve:
            learning_curve.run(router, data, models=models, json_file=json_file, **arms, say=say)
        if out is not None:
            calibrator.run(router, data, out, models=models, say=say)


def _calibrate_faults(
    data: tuple[Path, ...],
    out: Path | None,
    curve: bool,
    json_file: Path | None,
    choose: int | None,
    tasks: Path | None,
) -> list[str]:
    """Conflicts between the options of `calibrate`, one line each."""
    if choose is not None:
        lacking = [name for name, value in (("--tasks", tasks), ("--out", out)) if value is None]
        return [f"--choose needs {' and '.join(lacking)}"] if lacking else []
    faults = ["--tasks is for --choose N"] if tasks is not None else []
    if not data:
        faults.append("--data is needed: your own outcomes (or --choose N, to select what to collect)")
    if out is None and not curve:
        faults.append("--out is needed: the adapted artifact's folder (or --curve, to see what it would gain)")
    if json_file is not None and not curve:
        faults.append("--json is for --curve")
    return faults
