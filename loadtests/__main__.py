"""`python -m loadtests`: a gateway with its embedded engine on free ports, or one named by --host, under mixed load."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from gateway.ports import free_port

SCENARIO = Path(__file__).with_name("mixed.py")


@click.command()
@click.option("--host", help="Base URL of a running gateway on this machine; without it, one is started.")
@click.option("--users", default=16, show_default=True, help="Requests in flight.")
@click.option("--seconds", default=20, show_default=True, help="How long at most.")
@click.option("--requests", default=10_000, show_default=True, help="How many requests at most.")
@click.option("--models", default="tiny,tiny-split", show_default=True, help="Models to ask, with commas.")
@click.option("--seed", default=1, show_default=True, help="The same seed asks the same.")
@click.option("--json", "summary", default="", help="File for the summary as JSON.")
def main(host: str | None, users: int, seconds: int, requests: int, models: str, seed: int, summary: str) -> None:
    """Mixed traffic through the gateway: thinking tokens per second, time to first token, right answers per second."""
    locust = [
        sys.executable,
        "-m",
        "locust",
        "-f",
        str(SCENARIO),
        "--headless",
        "--only-summary",
        "--loglevel",
        "WARNING",
    ]
    bounds = ["--users", str(users), "--spawn-rate", str(users), "--run-time", f"{seconds}s", "--stop-timeout", "30s"]
    traffic = ["--requests", str(requests), "--models", models, "--seed", str(seed), "--summary", summary]
    if host:
        sys.exit(subprocess.run([*locust, *bounds, *traffic, "--host", host], check=False).returncode)
    with _gateway() as url:
        sys.exit(subprocess.run([*locust, *bounds, *traffic, "--host", url], check=False).returncode)


@contextmanager
def _gateway() -> Iterator[str]:
    """A gateway of its own, with records in a temporary folder; gives its base URL."""
    url = f"http://127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "gateway.cli", "serve", "--port", url.rsplit(":", 1)[1]]
    with tempfile.TemporaryDirectory() as folder, subprocess.Popen(command, cwd=folder) as process:
        try:
            _wait(url, process)
            yield url
        finally:
            process.terminate()


def _wait(url: str, process: subprocess.Popen[bytes], seconds: float = 60) -> None:
    """Until the gateway is ready. ClickException: it ended, or took too long."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise click.ClickException(f"the gateway ended with exit code {process.returncode} before it was ready")
        try:
            with urllib.request.urlopen(f"{url}/ready", timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    raise click.ClickException(f"the gateway was not ready after {seconds:.0f} s")


if __name__ == "__main__":
    main()
