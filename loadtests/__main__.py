"""`python -m loadtests SCENARIO`: a gateway with its embedded engine on free ports, or one named by --host, under load.

Scenarios spend real thinking tokens, and their answers are judged. Reported: right answers per second (goodput),
thinking tokens, time to the first token, between tokens and in all. With `--steps` users are added until it stops
paying, with `--soak` memory, open files and records are watched meanwhile. Beside the scenarios: `saturation`, what the
price of load buys, and `streams`, `million` and `peers`, against a scripted backend that costs next to nothing.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import click

from loadtests import million, saturation, streams
from loadtests.gateway import Embedded
from loadtests.peers import __main__ as peers
from loadtests.processes import need_proc
from loadtests.soak import Soak
from router_model import extras

HERE = Path(__file__).parent
# The class in users.py, and what it does.
SCENARIOS = {
    "mixed": ("MixedUser", "Instruct work and reasoning in turn, at every effort, half of it streamed."),
    "chat": ("ChatUser", "Conversations of two to four turns, streamed, with time to think between them."),
    "batch": ("BatchUser", "Extraction and rewriting, plain, without thinking, as fast as it goes."),
    "agent": ("AgentUser", "Loops of ten turns: a tool called, its result put into words, all in one history."),
    "burst": ("BurstUser", "All users at once, four requests each, every three seconds."),
    "slow-reader": ("SlowReader", "Clients that take an event, wait, and take the next."),
    "hang-ups": ("HangUpUser", "Most clients hang up before their answer is complete; the others must be served."),
}
FILE = click.Path(path_type=Path, dir_okay=False)


class _Scenarios(click.Group):
    """Without a name it is `mixed`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        first = args[0] if args else "--"
        return super().parse_args(ctx, ["mixed", *args] if first.startswith("-") and first != "--help" else args)


@click.group(cls=_Scenarios, help=__doc__)
def main() -> None:
    pass


def _scenario(name: str, user: str, about: str) -> click.Command:
    @click.command(name, help=about, short_help=about)
    @click.option("--host", help="Base URL of a running gateway on this machine; without it, one is started.")
    @click.option("--users", default=16, show_default=True, help="How many at once.")
    @click.option("--seconds", default=20, show_default=True, help="How long at most.")
    @click.option("--requests", default=10_000_000, show_default=True, help="How many requests at most.")
    @click.option("--models", default="tiny,tiny-split", show_default=True, help="Models to use, separated by commas.")
    @click.option("--seed", default=1, show_default=True, help="The same seed sends the same requests.")
    @click.option("--steps", help="Users, step by step, with commas, instead of --users: `4,8,16,32` finds the knee.")
    @click.option("--step-seconds", default=10.0, show_default=True, help="How long each step lasts.")
    @click.option("--ttft-limit", type=float, help="Seconds; without it, four times the first step's p95.")
    @click.option("--soak", is_flag=True, help="Watch memory, open files and records of the gateway meanwhile.")
    @click.option("--json", "summary", type=FILE, help="File for the summary as JSON.")
    @click.option("--plot", type=FILE, help="File for a picture, PNG.")
    def command(
        host: str | None,
        users: int,
        seconds: int,
        requests: int,
        models: str,
        seed: int,
        steps: str | None,
        step_seconds: float,
        ttft_limit: float | None,
        soak: bool,
        summary: Path | None,
        plot: Path | None,
    ) -> None:
        extras.need("loadtest")
        if plot:
            extras.need("learn")
        if soak and (host or steps):
            raise click.UsageError("--soak watches a gateway that it starts itself, under a load that stays the same")
        if soak:
            need_proc()
        traffic = ["--requests", str(requests), "--models", models, "--seed", str(seed), *_files(summary, plot, soak)]
        if steps:
            stairs = ["--steps", steps, "--step-seconds", str(step_seconds)]
            limit = ["--ttft-limit", str(ttft_limit)] if ttft_limit is not None else []
            arguments = ["-f", str(HERE / "stepfile.py"), user, *stairs, *limit, *traffic]
        else:
            bounds = ["--users", str(users), "--spawn-rate", str(users), "--run-time", f"{seconds}s"]
            arguments = ["-f", str(HERE / "locustfile.py"), user, *bounds, *traffic]
        with ExitStack() as stack:
            if host:
                sys.exit(_locust(arguments, host))
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="thinkgate-load-")))
            gateway = stack.enter_context(Embedded(folder))
            if not soak:
                sys.exit(_locust(arguments, gateway.url))
            with Soak(gateway, seconds) as watched:
                status = _locust(arguments, gateway.url)
            click.echo(watched.report(summary, plot))
            sys.exit(status)

    return command


def _files(summary: Path | None, plot: Path | None, soak: bool) -> list[str]:
    """The soak scenario draws its own plot."""
    picture = plot.resolve() if plot and not soak else ""
    return ["--summary", str(summary.resolve() if summary else ""), "--plot", str(picture)]


def _locust(arguments: list[str], host: str) -> int:
    quiet = ["--headless", "--only-summary", "--loglevel", "WARNING", "--stop-timeout", "30s"]
    command = [sys.executable, "-m", "locust", *arguments, *quiet, "--host", host]
    return subprocess.run(command, check=False).returncode


for _name, (_user, _about) in SCENARIOS.items():
    main.add_command(_scenario(_name, _user, _about))
main.add_command(streams.main, "streams")
main.add_command(million.main, "million")
main.add_command(peers.main, "peers")
main.add_command(saturation.main, "saturation")

if __name__ == "__main__":
    main()
