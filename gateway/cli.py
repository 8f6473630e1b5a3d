"""The command line. Each command imports what it needs, so that none pays for the others."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from gateway.commands.families import families
from gateway.commands.keys import keys
from gateway.commands.lines import say
from gateway.commands.records import records
from gateway.core.errors import ConfigError
from gateway.observability import logs
from router_model import extras

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
RECIPE = click.Choice(["sharp", "steady", "auto"])
NEW_FILE = click.Path(dir_okay=False, path_type=Path)


FORCE = click.option("--force", is_flag=True, help="Replace what is there.")


def _free(out: Path, force: bool) -> None:
    """ConfigError: an artifact is there, and is not to be replaced. OSError: none can be written there."""
    from router_model.data import output_files

    if (out / "artifact.json").exists() and not force:
        raise ConfigError([f"--out: {out} holds a router already: name another folder, or replace it with --force"])
    output_files.can_put(out / "artifact.json", folders=True)


class _Commands(click.Group):
    """Faults of the configuration are told in one line each, and exit with status 1."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except ConfigError as error:
            for fault in error.faults:
                click.echo(f"thinkgate: {fault}", err=True)
            sys.exit(1)
        except BrokenPipeError:
            raise  # whoever reads has enough: click ends quietly
        except OSError as error:
            # A full disk, or a folder that is not ours: nothing that a traceback would explain.
            where = "" if error.filename is None else f"{error.filename}: "
            click.echo(f"thinkgate: {where}{error.strerror or error}", err=True)
            sys.exit(1)


@click.group(cls=_Commands)
@click.version_option(package_name="thinkgate")
def main() -> None:
    """An OpenAI-compatible gateway that decides, request by request, how hard a model should think."""
    logs.begin()


@main.command()
@click.option(
    "--config", type=click.Path(path_type=Path), help="A TOML file; without one, the embedded engine is served."
)
@click.option("--host", help="Overrides the configuration; 127.0.0.1 without one.")
@click.option(
    "--port", type=click.IntRange(0, 65535), help="Overrides the configuration; 8080 without one, 0: any free."
)
@click.option(
    "--workers",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Processes that share the port; SIGHUP replaces them one by one, and one alone reads its routers again.",
)
@click.option("--records", type=NEW_FILE, help="The SQLite database; overrides the configuration.")
def serve(config: Path | None, host: str | None, port: int | None, workers: int, records: Path | None) -> None:
    """Run the gateway."""
    from gateway.config import settings
    from gateway.config.server import ServerSettings
    from gateway.config.storage import RecordSettings
    from gateway.serving import run as server

    if config is None:
        defaults = ServerSettings()
        server.serve_embedded(
            records or RecordSettings().path,
            host or defaults.host,
            defaults.port if port is None else port,
            workers,
        )
        return
    path = config
    server.serve(lambda: settings.override(settings.load(path), host=host, port=port, records=records), workers)


@main.command()
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--sources", is_flag=True, help="Also say where it is written how each family is told.")
@click.option("--verify", is_flag=True, help="Also ask the deployments if they do what their families say.")
@click.option("--probe", is_flag=True, hidden=True)
def check(config: Path, sources: bool, verify: bool, probe: bool) -> None:
    """Validate a configuration and say what each model, effort and family will do."""
    from gateway import assembly
    from gateway.backends.latency import latency_models_of
    from gateway.commands import check as checker
    from gateway.config import settings

    if verify and probe:
        raise click.UsageError("--probe is the old name of --verify: leave --probe out")
    if probe:
        click.echo("thinkgate: --probe is called --verify now; the next release knows only that", err=True)
    chosen = settings.load(config)
    say("\n".join(list(checker.explain(chosen, sources))))
    if not verify and not probe:
        return
    from gateway.backends.discovery import report

    deployments = assembly.deployments(chosen)
    models = assembly.catalogue(chosen, deployments, latency_models_of(deployments.values()))
    lines, failed = report.verify(deployments.values(), [arm for model in models for arm in model.arms])
    say("\n".join(["", *lines]))
    sys.exit(failed)


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(0, 65535), default=8001, show_default=True, help="0: any free port.")
@click.option("--weights", type=click.Path(path_type=Path), help="Folder of the model folders.")
@click.option("--max-batch", type=click.IntRange(1), default=32, show_default=True, help="Answers at once, per model.")
@click.option("--max-queue", type=click.IntRange(0), default=256, show_default=True, help="Waiting, per model.")
@click.option(
    "--budgets",
    type=click.Choice(["kept", "ignored", "refused"]),
    default="kept",
    show_default=True,
    help="What becomes of thinking budgets: the other two are to try what the gateway does about that.",
)
@click.option("--stop-with-parent", is_flag=True, help="End when standard input ends.")
def engine(
    host: str,
    port: int,
    weights: Path | None,
    max_batch: int,
    max_queue: int,
    budgets: str,
    stop_with_parent: bool,
) -> None:
    """Run the embedded backend alone, in vLLM's dialect."""
    from gateway.embedded import server
    from gateway.serving import engine_process

    if stop_with_parent:
        engine_process.stop_with_parent()
    server.run(host, port, weights, max_batch, max_queue, budgets)


@main.command()
@click.option("--config", type=click.Path(path_type=Path), help="A TOML file; else the embedded engine is asked.")
@click.option("--tasks", type=FILE, required=True, help="JSON lines: prompts with their verifiers.")
@click.option("--out", type=NEW_FILE, required=True, help="The outcome table, Parquet.")
@click.option("--concurrency", type=click.IntRange(1), default=16, show_default=True)
@click.option("--weights", type=click.Path(path_type=Path), help="Folder of the embedded engine's model folders.")
@FORCE
def collect(config: Path | None, tasks: Path, out: Path, concurrency: int, weights: Path | None, force: bool) -> None:
    """Run tasks over every effort of every deployment and verify the answers.

    Finished answers go to OUT.partial one by one: after an interruption the same command goes on from there.
    """
    extras.need("learn")
    from gateway.commands import collect as collector
    from gateway.serving.engine_process import EngineProcess

    if config is not None:
        if weights is not None:
            raise ConfigError(["--weights is for the embedded engine: leave --config out"])
        rows = collector.run(config, tasks, out, concurrency, force=force)
    else:
        with EngineProcess(weights=weights) as embedded:
            rows = collector.run(None, tasks, out, concurrency, embedded.url(), force)
    say(f"{rows} outcomes in {out.absolute()}")


@main.command()
@click.option("--data", type=FILE, multiple=True, required=True, help="An outcome table; may be given several times.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="The artifact's folder.")
@click.option("--model", "models", multiple=True, help="Only these models' rows; all if left out.")
@click.option("--generic", is_flag=True, help="Also learn what holds for any model.")
@click.option("--recipe", type=RECIPE, default="sharp", help="`steady` for outcomes of few samples; auto tries both.")
@click.option(
    "--expects",
    type=click.Choice(["phrasings", "tasks"]),
    default="phrasings",
    help="What new requests will be: new phrasings of the tasks in the data, or new tasks.",
)
@FORCE
def train(
    data: tuple[Path, ...],
    out: Path,
    models: tuple[str, ...],
    generic: bool,
    recipe: Any,
    expects: Any,
    force: bool,
) -> None:
    """Train a router artifact on outcome tables."""
    extras.need("learn")
    _free(out, force)
    from router_model.data.outcomes import OutcomeError
    from router_model.training import recipes
    from router_model.training import train as trainer

    try:
        choose = recipes.chosen(recipe, expects)
        trainer.run(data, out, models=models, generic=generic, settings=choose, say=say)
    except OutcomeError as error:
        raise ConfigError([str(error)]) from error


@main.command()
@click.option("--router", metavar="DIR|NAME", help="An artifact by folder or name; `tiny` ships.")
@click.option(
    "--leave-out",
    type=click.Choice(["prompt", "task", "dataset", "suite"]),
    help="Instead of --router: train on the rest of the data, in folds that leave these out.",
)
@click.option("--recipe", type=RECIPE, default="auto", help="With --leave-out: how to train; auto tries which is best.")
@click.option("--data", type=FILE, multiple=True, required=True, help="An outcome table; may be given several times.")
@click.option(
    "--dataset", "datasets", multiple=True, metavar="PATTERN", help="Only data sets like this: `medagents/*`."
)
@click.option("--no-think", metavar="MODEL/MODE[,…]", help="The cheap arm, out of a table of many; the first that ran.")
@click.option("--think", metavar="MODEL/MODE[,…]", help="The dear arm, out of a table of many; the first that ran.")
@click.option("--json", "json_file", type=NEW_FILE, help="Write the figures here too.")
@click.option("--html", "html_file", type=NEW_FILE, help="Write a page with all figures, and a PNG beside it.")
def evaluate(
    router: str | None,
    leave_out: Any,
    recipe: Any,
    data: tuple[Path, ...],
    datasets: tuple[str, ...],
    no_think: str | None,
    think: str | None,
    json_file: Path | None,
    html_file: Path | None,
) -> None:
    """Judge a router on outcome tables, or one trained on the rest of them, against the mandatory baselines."""
    extras.need("learn")
    from router_model.data.outcomes import OutcomeError
    from router_model.evaluation import evaluate as evaluator
    from router_model.model.artifact import ArtifactError

    try:
        evaluator.run(
            router,
            data,
            no_think=no_think,
            think=think,
            leave_out=leave_out,
            recipe=recipe,
            datasets=datasets,
            json_file=json_file,
            html_file=html_file,
            say=say,
        )
    except (OutcomeError, ArtifactError) as error:
        raise ConfigError([str(error)]) from error


@main.command()
@click.option("--router", required=True, metavar="DIR|NAME", help="The artifact to start from; `prior` ships.")
@click.option("--data", type=FILE, multiple=True, help="Outcomes of your own: a table; may be given several times.")
@click.option("--out", type=click.Path(path_type=Path), help="The adapted artifact's folder; with --choose, a file.")
@click.option("--model", "models", multiple=True, help="Only these models' rows; all if left out.")
@click.option(
    "--curve", is_flag=True, help="Hold prompts out, and say what ever more of the others would have brought."
)
@click.option("--no-think", metavar="MODEL/MODE", help="The cheap arm that the curve is about.")
@click.option("--think", metavar="MODEL/MODE", help="The dear arm that the curve is about.")
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
    no_think: str | None,
    think: str | None,
    json_file: Path | None,
    choose: int | None,
    tasks: Path | None,
    force: bool,
) -> None:
    """Adapt a router to your own deployments, by the outcomes of a few dozen prompts or more.

    \b
    thinkgate calibrate --router prior --choose 100 \\
        --tasks tasks.jsonl --out chosen.jsonl
    thinkgate collect --config thinkgate.toml \\
        --tasks chosen.jsonl --out outcomes.parquet
    thinkgate calibrate --router prior \\
        --data outcomes.parquet --out my-router

    More rounds: give --choose the tables collected so far as --data, and the router adapted to them.
    """
    extras.need("learn")
    from router_model.adapting import calibrate as calibrator
    from router_model.adapting import choosing, learning_curve
    from router_model.data import output_files
    from router_model.data.outcomes import OutcomeError
    from router_model.model.artifact import ArtifactError

    faults = _calibrate_faults(data, out, curve, json_file, choose, tasks)
    if faults:
        raise ConfigError(faults)
    if choose is None and out is not None:
        _free(out, force)
    if json_file is not None:
        output_files.can_put(json_file)
    try:
        if choose is not None and tasks is not None and out is not None:
            choosing.run(router, tasks, choose, out, collected=data, say=say)
            return
        if curve:
            learning_curve.run(
                router, data, models=models, no_think=no_think, think=think, json_file=json_file, say=say
            )
        if out is not None:
            calibrator.run(router, data, out, models=models, say=say)
    except (OutcomeError, ArtifactError) as error:
        raise ConfigError([str(error)]) from error


def _calibrate_faults(
    data: tuple[Path, ...],
    out: Path | None,
    curve: bool,
    json_file: Path | None,
    choose: int | None,
    tasks: Path | None,
) -> list[str]:
    """What does not fit together in the options of `calibrate`, one line each."""
    if choose is not None:
        lacking = [name for name, value in (("--tasks", tasks), ("--out", out)) if value is None]
        return [f"--choose needs {' and '.join(lacking)}"] if lacking else []
    faults = ["--tasks is for --choose N"] if tasks is not None else []
    if not data:
        faults.append("--data is needed: outcomes of your own (or --choose N, to pick what to collect)")
    if out is None and not curve:
        faults.append("--out is needed: where the adapted artifact goes (or --curve, to see what it would be worth)")
    if json_file is not None and not curve:
        faults.append("--json is for --curve")
    return faults


main.add_command(families)
main.add_command(keys)
main.add_command(records)

if __name__ == "__main__":
    main()
