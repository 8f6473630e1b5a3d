"""Reads a stream of completions, parsing every event once.

It is fed with chunks of any size, and returns what its sink makes of the complete events. It notes the times of the
first token and of the first one after the reasoning, the finish reason, the usage, an error and the end. A malformed
event never reaches the client: it ends the stream in an error.
"""

from __future__ import annotations

import re
import time
from typing import Any

import orjson

from gateway.backends.chat_answer import MOST_CHARACTERS, dumped, read_id, read_usage
from gateway.core.backend_errors import AnswerTooLarge, BackendFailed, error_from_backend, fields_of
from gateway.core.errors import GatewayError
from gateway.core.reasoning import REASONING, REASONING_FIELDS
from gateway.core.usage import Usage
from gateway.execution.streaming.corrected_usage import correct
from gateway.execution.streaming.encoder import EventSink
from gateway.execution.streaming.output_stats import OutputStats

DONE = b"data: [DONE]\n\n"
_EVENT_END = re.compile(rb"\r?\n\r?\n")
_LONGEST_END = 4
_ANSWER_FIELDS = ("content", "tool_calls", "function_call", "refusal")


class ChatStream:
    def __init__(
        self,
        sink: EventSink,
        max_event_bytes: int,
        seen: OutputStats | None = None,
        most: int | None = None,
        choices: int = 1,
    ) -> None:
        """`seen` counts the output. After more than `most` bytes of reasoning, all of the `choices` are ended.

        `first_token` is when it arrived, and `first_answer` when the first one after the reasoning did, by the
        monotonic clock.
        """
        self._sink = sink
        self._max_event_bytes = max_event_bytes
        self._rest = bytearray()
        self._seen = seen
        self._most, self._choices = most, choices
        self.usage = Usage()
        self.finish_reason: str | None = None
        self.first_token: float | None = None
        self.first_answer: float | None = None
        self.answer_id: str | None = None
        self.done = False
        self.error: GatewayError | None = None

    @property
    def ended(self) -> bool:
        """Whether the stream is complete or has failed; further chunks are ignored."""
        return self.done or self.error is not None

    def feed(self, chunk: bytes) -> bytes:
        """The events to forward now; never the end mark, which is sent after the record is written."""
        if self.ended:
            return b""
        events = self._read(self._complete(chunk))
        if len(self._rest) > self._max_event_bytes and not self.ended:
            self.error = AnswerTooLarge("The backend sent an event that is too large.")
            self._rest.clear()
        return events

    def finish(self) -> None:
        """Note that no more chunks arrive. Raises the error in which the answer ended.

        BackendFailed: the stream had no finish reason, or ended within an event.
        """
        # An end mark alone is no evidence: proxies send one even if their own backend broke off.
        half = not self.done and self._rest.strip() not in (b"", DONE.strip())
        if self.error is None and (self.finish_reason is None or half):
            self.error = BackendFailed("The backend ended its stream without finishing the answer.", code="stream_cut")
        if self.error is not None:
            raise self.error

    def _complete(self, chunk: bytes) -> bytes:
        """The events that are complete now. No byte is searched twice."""
        rest = self._rest
        if not rest:
            cut = len(chunk) if chunk.endswith(b"\n\n") else _last_end(chunk, 0)
            if cut < len(chunk):
                rest += chunk[cut:]
            return chunk[:cut]
        searched = max(len(rest) - _LONGEST_END + 1, 0)
        rest += chunk
        cut = _last_end(rest, searched)
        if not cut:
            return b""
        data = bytes(rest[:cut])
        del rest[:cut]
        return data

    def _read(self, data: bytes) -> bytes:
        """Process a block of complete events."""
        if data.startswith(b"data: {") and data.find(b"\n") == len(data) - 2 and b"\r" not in data:
            return self._json(data[6:], data)  # one event of one line, as nearly all are
        forward = []
        for event in _EVENT_END.split(data):
            event = event.strip(b"\r\n")
            if event and not self.ended:
                forward.append(self._event(event))
        return b"".join(forward)

    def _event(self, event: bytes) -> bytes:
        if event.startswith(b"data: {") and b"\n" not in event and b"\r" not in event:
            return self._json(event[6:], event + b"\n\n")
        payload = b"\n".join(line[5:].removeprefix(b" ") for line in event.splitlines() if line.startswith(b"data:"))
        if payload == b"[DONE]":
            self.done = True
            return b""
        if _is_text(event):
            return self._json(payload, event + b"\n\n") if payload else event + b"\n\n"
        self.error = BackendFailed("The backend sent an event that is not valid UTF-8.")
        return b""

    def _json(self, payload: bytes, event: bytes) -> bytes:
        """What to forward of an event with this payload."""
        try:
            chunk = orjson.loads(payload)
        except orjson.JSONDecodeError:
            self.error = BackendFailed("The backend sent an event that is not valid JSON.")
            return b""
        if not isinstance(chunk, dict):
            self.error = BackendFailed("The backend sent an event that is not a completion.")
            return b""
        return self._learn(chunk, event)

    def _learn(self, chunk: dict[str, Any], event: bytes) -> bytes:
        if chunk.get("error"):
            fields = fields_of(chunk) or {"message": "The backend failed while answering."}
            code = fields.get("code")
            status = code if isinstance(code, int) and 400 <= code < 600 else 502
            self.error = error_from_backend(status, {}, fields)
            return b""
        if self.answer_id is None:
            self.answer_id = read_id(chunk)
        choices = chunk.get("choices")
        if isinstance(choices, list):
            for choice in choices:
                if isinstance(choice, dict):
                    self._choice(choice)
        usage = chunk.get("usage")
        if isinstance(usage, dict):
            if self._seen is not None and correct(usage, self._seen):
                event = b"data: " + dumped(chunk) + b"\n\n"
            self.usage = read_usage(usage)
        if self._most is not None and self._seen is not None and self._seen.thought_size > self._most:
            self._most = None
            return self._cut(chunk)
        return self._sink.event(chunk, event)

    def _cut(self, last: dict[str, Any]) -> bytes:
        """End the answer here, as if its token limit were reached; the rest is ignored."""
        ends: list[dict[str, Any]] = [
            {"index": index, "delta": {}, "logprobs": None, "finish_reason": "length"} for index in range(self._choices)
        ]
        chunk = {name: value for name, value in last.items() if name != "usage"} | {"choices": ends}
        events = self._learn(chunk, b"data: " + dumped(chunk) + b"\n\n")
        self.done = True
        self._rest.clear()
        return events

    def _choice(self, choice: dict[str, Any]) -> None:
        reason = choice.get("finish_reason")
        if reason:
            self.finish_reason = str(reason)[:MOST_CHARACTERS]
        delta = choice.get("delta")
        seen = self._seen
        if seen is not None:
            if isinstance(delta, dict):
                seen.delta(delta, choice.get("index", 0))
            else:
                seen.text(choice.get("text"))
            if "token_ids" in choice or choice.get("logprobs"):
                seen.tokens(choice)
        if self.first_answer is None:
            self._time(delta if isinstance(delta, dict) else {"content": choice.get("text")})

    def _time(self, delta: dict[str, Any]) -> None:
        """Note when the first token came, and the first one of the answer."""
        content = delta.get("content")
        if type(content) is list and all(type(part) is dict and "thinking" in part for part in content):
            delta = {REASONING: content}  # reasoning in parts, as some hosted APIs send it
        if any(map(delta.get, _ANSWER_FIELDS)):
            self.first_answer = time.perf_counter()
            self.first_token = self.first_token or self.first_answer
        elif self.first_token is None and any(map(delta.get, REASONING_FIELDS)):
            self.first_token = time.perf_counter()


def _last_end(data: bytes | bytearray, start: int) -> int:
    """Where the last complete event of a block ends, searched from `start` on; 0 if none is complete."""
    lf, crlf = data.rfind(b"\n\n", start), data.rfind(b"\n\r\n", start)
    return max(lf + 2 if lf >= 0 else 0, crlf + 3 if crlf >= 0 else 0)


def _is_text(event: bytes) -> bool:
    try:
        event.decode()
    except UnicodeDecodeError:
        return False
    return True
