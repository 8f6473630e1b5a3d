"""The command line. Each command imports what it needs, so that start-up stays fast."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from gateway.commands.experiment import experiment
from gateway.commands.explain import explain
from gateway.commands.families import families
from gateway.commands.keys import keys
from gateway.commands.learn import calibrate, evaluate, train
from gateway.commands.learning import learn
from gateway.commands.lines import say
from gateway.commands.options import FILE, FORCE, NEW_FILE
from gateway.commands.records import records
from gateway.commands.replay import replay
from gateway.commands.report import report
from gateway.commands.routers import routers
from gateway.commands.teams import team
from gateway.core.errors import ConfigError
from gateway.observability import logs
from router_model import extras


class _Commands(click.Group):
    """Prints configuration errors on one line each, and exits with status 1."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except ConfigError as error:
            for fault in error.faults:
                click.echo(f"thinkgate: {fault}", err=True)
            sys.exit(1)
        except BrokenPipeError:
            raise  # the reader closed the pipe: click exits quietly
        except OSError as error:
            # A full disk, or a folder without permission: a traceback would not help.
            where = "" if error.filename is None else f"{error.filename}: "
            click.echo(f"thinkgate: {where}{error.strerror or error}", err=True)
            sys.exit(1)


@click.group(cls=_Commands)
@click.version_option(package_name="thinkgate")
def main() -> None:
    """An OpenAI-compatible gateway that decides, request by request, how hard a model should think."""
    logs.begin()


@main.command()
@click.option("--config", type=click.Path(path_type=Path), help="A TOML file; by default, serve the embedded engine.")
@click.option("--host", help="Overrides the configuration; default 127.0.0.1.")
@click.option("--port", type=click.IntRange(0, 65535), help="Overrides the configuration; default 8080, 0: any free.")
@click.option(
    "--workers",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Processes that share the port; SIGHUP reloads the configuration: several are replaced one by one.",
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
@click.option("--sources", is_flag=True, help="Also print the source of each line about a family.")
@click.option("--verify", is_flag=True, help="Also verify the deployments against their families.")
@click.option("--probe", is_flag=True, hidden=True)
def check(config: Path, sources: bool, verify: bool, probe: bool) -> None:
    """Validate a configuration and print what each model, effort and family will do."""
    from gateway import assembly
    from gateway.backends.latency import latency_models_of
    from gateway.commands import check as checker
    from gateway.config import settings

    if verify and probe:
        raise click.UsageError("--probe is the old name of --verify: use --verify alone")
    if probe:
        click.echo("thinkgate: --probe is deprecated and goes with the next release: use --verify", err=True)
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
    help="How to treat thinking budgets; the other two are for testing how the gateway copes.",
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
@click.option("--config", type=click.Path(path_type=Path), help="A TOML file; by default, the embedded engine.")
@click.option("--tasks", type=FILE, required=True, help="JSON lines: prompts with their verifiers.")
@click.option("--out", type=NEW_FILE, required=True, help="The outcome table, Parquet.")
@click.option("--concurrency", type=click.IntRange(1), default=16, show_default=True)
@click.option("--weights", type=click.Path(path_type=Path), help="Folder of the embedded engine's model folders.")
@click.option(
    "--hold-out",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.2,
    show_default=True,
    metavar="SHARE",
    help="The share of prompts that routers are judged on and never trained on.",
)
@FORCE
def collect(
    config: Path | None,
    tasks: Path,
    out: Path,
    concurrency: int,
    weights: Path | None,
    hold_out: float,
    force: bool,
) -> None:
    """Run tasks over every effort of every deployment and verify the answers.

    Finished answers are appended to OUT.partial: after an interruption, the same command resumes from there.
    """
    extras.need("learn")
    from gateway.commands import collect as collector
    from gateway.serving.engine_process import EngineProcess

    if config is not None:
        if weights is not None:
            raise ConfigError(["--weights is for the embedded engine: it cannot be used with --config"])
        rows = collector.run(config, tasks, out, concurrency, force=force, hold_out=hold_out)
    else:
        with EngineProcess(weights=weights) as embedded:
            rows = collector.run(None, tasks, out, concurrency, embedded.url(), force, hold_out)
    say(f"{rows} outcomes in {out.absolute()}")


keys.add_command(team)
learned = (learn, routers, train, evaluate, calibrate)
for command in (experiment, explain, families, keys, records, replay, report, *learned):
    main.add_command(command)

if __name__ == "__main__":
    main()
