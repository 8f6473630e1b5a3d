"""The scenario, a locustfile: `locust -f loadtests/mixed.py --host http://127.0.0.1:8000`, or `make bench`.

Each user asks, reads the whole answer, judges it and asks again at once. Only loopback is loaded: this is a test of a
gateway on one machine, and must not hit somebody else's by a slip of the command line.
"""

from __future__ import annotations

import ipaddress
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

from locust import FastHttpUser, constant, events, task
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment
from locust.exception import StopUser

from loadtests.answers import Answer, Broken, from_body, from_events
from loadtests.report import Sample, summarise, table
from loadtests.traffic import Ask, mixed
from router_model.tasks import verify


class MixedLoad:
    """State of one run: requests still to be sent, and what became of the others."""

    def __init__(self, asks: Iterator[Ask], summary: Path | None) -> None:
        self.asks = asks
        self.summary = summary
        self.open = 0
        self.samples: list[Sample] = []
        self.started = self.ended = time.perf_counter()

    def stop(self, **_: Any) -> None:
        self.ended = time.perf_counter()

    def report(self, **_: Any) -> None:
        """The table, and the same figures as JSON where a file was named."""
        summary = summarise(self.samples, self.ended - self.started)
        print(f"\n{table(summary)}\n", flush=True)
        if self.summary is not None:
            self.summary.write_text(json.dumps(summary, indent=2) + "\n", "utf-8")


class MixedUser(FastHttpUser):
    """Asks without a pause, so the number of users is the number of requests in flight."""

    wait_time = constant(0)
    network_timeout = 120.0
    load: MixedLoad

    @task
    def ask(self) -> None:
        ask = next(self.load.asks, None)
        if ask is None:
            self._leave()
        self.load.open += 1
        try:
            self._send(ask)
        finally:
            self.load.open -= 1

    def _leave(self) -> NoReturn:
        """The last one out ends the run."""
        if self.load.open == 0 and self.environment.runner is not None:
            self.environment.runner.quit()
        raise StopUser()

    def _send(self, ask: Ask) -> None:
        # Compressed events would arrive in lumps and spoil the time to the first token.
        options: dict[str, Any] = {"headers": {"Accept-Encoding": "identity"}, "stream": ask.stream, "name": ask.name}
        started = time.perf_counter()
        with self.client.post("/v1/chat/completions", json=ask.body, catch_response=True, **options) as response:
            answer, error = Answer(), None
            try:
                answer = _read(response, ask.stream, started)
            except (Broken, OSError, ValueError, LookupError) as fault:
                error = str(fault) or type(fault).__name__
            seconds = time.perf_counter() - started
            # locust's own clock stops at the headers of a stream.
            response.request_meta["response_time"] = seconds * 1000
            self.load.samples.append(_sample(ask, answer, error, seconds, response.headers or {}))
            if error is None:
                response.success()
            else:
                response.failure(error)


def _read(response: Any, stream: bool, started: float) -> Answer:
    """Raises Broken with the status and the server's own words for everything but a whole answer."""
    if response.status_code != 200:
        raise Broken(f"{response.status_code or 'no answer'}: {_message(response)}")
    return from_events(_events(response, started)) if stream else from_body(response.content)


def _message(response: Any) -> str:
    try:
        return str(json.loads(response.text)["error"]["message"])
    except (TypeError, ValueError, KeyError):
        return str(response.error or response.text)[:200]


def _events(response: Any, started: float) -> Iterator[tuple[float, bytes]]:
    while event := bytes(response.stream.readline(b"\n\n")):
        yield time.perf_counter() - started, event


def _sample(ask: Ask, answer: Answer, error: str | None, seconds: float, headers: Any) -> Sample:
    return Sample(
        kind=ask.prompt.kind,
        effort=ask.effort,
        applied=headers.get("x-thinkgate-effort") or "unknown",
        seconds=seconds,
        error=error,
        score=verify(ask.prompt, answer.content, answer.tool_calls) if error is None else 0.0,
        thinking_tokens=answer.thinking_tokens,
        completion_tokens=answer.completion_tokens,
        first_token_s=answer.first_token_s,
        first_answer_s=answer.first_answer_s,
    )


def is_loopback(url: str) -> bool:
    """Whether a base URL names this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@events.init_command_line_parser.add_listener
def _options(parser: LocustArgumentParser) -> None:
    parser.add_argument("--models", default="tiny,tiny-split", help="models to ask, with commas")
    parser.add_argument("--requests", type=int, default=10_000, help="stop after so many requests")
    parser.add_argument("--seed", type=int, default=1, help="the same seed asks the same")
    parser.add_argument("--summary", default="", help="file for the summary as JSON")


@events.test_start.add_listener
def _start(environment: Environment, **_: Any) -> None:
    options = environment.parsed_options
    if options is None or not is_loopback(environment.host or ""):
        sys.exit(f"only a gateway on this machine is loaded, and {environment.host!r} is not one")
    asks = mixed(options.models.split(","), options.seed, options.requests)
    MixedUser.load = load = MixedLoad(asks, Path(options.summary) if options.summary else None)
    environment.events.test_stop.add_listener(load.stop)
    # Only then has locust printed its own tables.
    environment.events.quit.add_listener(load.report)
