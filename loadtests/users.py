"""The users of each scenario. All send requests, read the answers and verify them; they differ in pace and patience."""

from __future__ import annotations

import itertools
import json
import random
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, NoReturn
from urllib.parse import urlsplit

import gevent
from locust import FastHttpUser, constant, task
from locust.exception import StopUser
from locust.runners import STATE_CLEANUP, STATE_STOPPED, STATE_STOPPING

from loadtests import traffic
from loadtests.answers import Answer, Broken, from_body, from_events
from loadtests.load import Load
from loadtests.report import Sample
from loadtests.traffic import Ask, Session, Traffic
from router_model.tasks import verify

THINK_S = 0.5  # on average, between the turns of a chat
BURST_EVERY_S, BURST = 3.0, 4  # requests of each user
READ_PAUSE_S = 0.05  # after each event
STAYS, MOST_PATIENCE_S = 0.3, 0.4  # the share that does not hang up, and how long the others wait at most


class Asker(FastHttpUser):
    """Plays session after session without a pause, so the number of users is the number of requests in flight."""

    abstract = True
    wait_time = constant(0)
    network_timeout = 120.0
    load: ClassVar[Load]
    traffic: ClassVar[Traffic]

    @task
    def play(self) -> None:
        session = self.load.session()
        if session is None:
            self._leave()
        self.load.open += 1
        try:
            self._play(session)
        finally:
            self.load.open -= 1

    def _play(self, session: Session) -> None:
        """Play the turns until one fails, the request limit is reached, or the time is up."""
        history: list[Mapping[str, Any]] = []
        for index, turn in enumerate(session.turns):
            if index:
                self.pause()
            if self._stopping() or not self.load.take():
                return
            answer = self._send(turn, turn.body(history))
            if answer is None:
                return
            history += [*turn.messages, self._said(turn, answer)]

    def pause(self) -> None:
        """Between the turns of a session."""

    def _said(self, turn: Ask, answer: Answer) -> Mapping[str, Any]:
        return answer.message

    def _stopping(self) -> bool:
        """Whether the time is up; a session then ends after its current turn."""
        runner = self.environment.runner
        return runner is None or runner.state in (STATE_STOPPING, STATE_STOPPED, STATE_CLEANUP)

    def _leave(self) -> NoReturn:
        """The last one out ends the run; not itself, because ending it ends users, this one too."""
        if self.load.open == 0 and self.environment.runner is not None:
            gevent.spawn(self.environment.runner.quit)
        raise StopUser()

    def _send(self, turn: Ask, body: dict[str, Any]) -> Answer | None:
        """The answer; None if it was not complete."""
        # Compression would delay events and distort the time to the first token.
        headers = {"Accept-Encoding": "identity"}
        name = f"{turn.name}, {'streamed' if turn.stream else 'plain'}"
        options: dict[str, Any] = {"headers": headers, "stream": turn.stream, "name": name}
        started = time.perf_counter()
        with self.client.post("/v1/chat/completions", json=body, catch_response=True, **options) as response:
            answer, error = Answer(), None
            try:
                answer = self._read(response, turn.stream, started)
            except (Broken, OSError, ValueError, LookupError) as fault:
                error = str(fault) or type(fault).__name__
            seconds = time.perf_counter() - started
            # locust's own clock stops at the headers of a stream.
            response.request_meta["response_time"] = seconds * 1000
            self._note(turn, answer, error, seconds, response.headers or {})
            if error is None:
                response.success()
            else:
                response.failure(error)
        return answer if error is None else None

    def _read(self, response: Any, stream: bool, started: float) -> Answer:
        """Read the answer. Raises Broken, with the status and the server's message, if it is not complete."""
        if response.status_code != 200:
            raise Broken(f"{response.status_code or 'no answer'}: {_message(response)}")
        return from_events(self._events(response, started)) if stream else from_body(response.content)

    def _events(self, response: Any, started: float) -> Iterator[tuple[float, bytes]]:
        while event := bytes(response.stream.readline(b"\n\n")):
            yield time.perf_counter() - started, event

    def _note(self, turn: Ask, answer: Answer, error: str | None, seconds: float, headers: Mapping[str, str]) -> None:
        runner = self.environment.runner
        sample = Sample(
            kind=turn.name,
            effort=turn.effort,
            applied=headers.get("x-thinkgate-effort") or "unknown",
            seconds=seconds,
            error=error,
            score=verify(turn.prompt, answer.content, answer.tool_calls) if error is None else 0.0,
            thinking_tokens=answer.thinking_tokens,
            completion_tokens=answer.completion_tokens,
            first_token_s=answer.first_token_s,
            first_answer_s=answer.first_answer_s,
            token_gap_s=answer.token_gap_s,
            longest_gap_s=answer.longest_gap_s,
            at=self.load.at(),
            users=runner.user_count if runner is not None else 0,
        )
        self.load.samples.append(sample)


class MixedUser(Asker):
    """Sends requests of every kind without pauses."""

    traffic = staticmethod(traffic.mixed)


class ChatUser(Asker):
    """Conversations of two to four turns, with time to think between them."""

    traffic = staticmethod(traffic.chat)

    _seeds = itertools.count()

    def on_start(self) -> None:
        self._rng = random.Random(next(self._seeds))

    def pause(self) -> None:
        gevent.sleep(min(self._rng.expovariate(1 / THINK_S), 5 * THINK_S))


class BatchUser(Asker):
    """Extraction without thinking, plain, without pauses."""

    traffic = staticmethod(traffic.batch)


class AgentUser(Asker):
    """A loop of tool calls and their results; after a wrong call, it continues with the right one."""

    traffic = staticmethod(traffic.agent)

    def _said(self, turn: Ask, answer: Answer) -> Mapping[str, Any]:
        right = verify(turn.prompt, answer.content, answer.tool_calls)
        return answer.message if right else turn.expected


class BurstUser(Asker):
    """All users send a few requests each at the same time, at regular intervals, and pause in between."""

    traffic = staticmethod(traffic.streamed)

    def wait_time(self) -> float:
        self._sent = getattr(self, "_sent", 0) + 1
        return 0.0 if self._sent % BURST else BURST_EVERY_S - self.load.at() % BURST_EVERY_S


class SlowReader(Asker):
    """Reads one event at a time with pauses, so that answers take many times longer than the model needs."""

    traffic = staticmethod(traffic.streamed)

    def _events(self, response: Any, started: float) -> Iterator[tuple[float, bytes]]:
        for event in super()._events(response, started):
            yield event
            gevent.sleep(READ_PAUSE_S)


class HangUpUser(Asker):
    """Most users hang up before their answer is complete, plain or streamed; the others must still get theirs."""

    traffic = staticmethod(traffic.mixed)

    def _send(self, turn: Ask, body: dict[str, Any]) -> Answer | None:
        rng = random.Random(turn.prompt.id)
        if rng.random() < STAYS:
            return super()._send(turn, body)
        patience = rng.uniform(0, MOST_PATIENCE_S)
        error = _ask_and_leave(self.host or "", body, patience)
        sample = Sample(turn.name, turn.effort, "unknown", patience, error, at=self.load.at(), left=error is None)
        self.load.samples.append(sample)
        fault = None if error is None else Broken(error)
        fire: Callable[..., None] = self.environment.events.request.fire
        fire(request_type="POST", name="hung up", response_time=1000 * patience, response_length=0, exception=fault)
        return None


def _ask_and_leave(host: str, body: Mapping[str, Any], patience_s: float) -> str | None:
    """Send a request, wait for `patience_s`, and hang up without reading. Raises if nothing listens."""
    where, data = urlsplit(host), json.dumps(body).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: {where.netloc}\r\ncontent-type: application/json\r\n"
    try:
        with socket.create_connection((where.hostname or "", where.port or 80), timeout=10) as connection:
            connection.sendall(f"{head}content-length: {len(data)}\r\n\r\n".encode() + data)
            gevent.sleep(patience_s)
    except OSError as error:
        return str(error)
    return None


def _message(response: Any) -> str:
    try:
        return str(json.loads(response.text)["error"]["message"])
    except (TypeError, ValueError, KeyError):
        return str(response.error or response.text)[:200]
