"""One answer being generated: its prompt, the tokens so far, and its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from gateway.embedded.choosing import Chooser
from gateway.embedded.model import Array
from gateway.embedded.sampling import SamplingParams, TokenLogprobs
from gateway.embedded.served import Served
from gateway.embedded.stop_text import EngineStopText

Finish = Literal["stop", "length", "error"]


@dataclass(frozen=True, slots=True)
class EngineOutput:
    """What is new in an answer since the last output. `finish` is set on the last one."""

    ids: tuple[int, ...]
    text: str
    logprobs: tuple[TokenLogprobs, ...]
    finish: Finish | None = None
    stop_reason: int | str | None = None


@dataclass(slots=True)
class Times:
    """Seconds of the monotonic clock; 0 until it has happened."""

    arrived: float = field(default_factory=time.monotonic)
    scheduled: float = 0.0
    first_token: float = 0.0
    finished: float = 0.0


class EngineAnswer:
    """Owned by the decoding thread once it is submitted, except `cancelled`, which any thread may set."""

    def __init__(
        self,
        served: Served,
        prompt: Sequence[int],
        params: SamplingParams,
        receive: Callable[[EngineOutput], None],
        streamed: bool,
    ) -> None:
        """`receive` gets every output if `streamed`, else a single one at the end."""
        self.prompt, self.receive, self.streamed = list(prompt), receive, streamed
        self.ids: list[int] = []
        self.times = Times()
        self.cancelled = self.complete = False
        self.cached = 0  # prompt tokens that did not have to be read
        self._params, self._chooser = params, Chooser(served, params, prompt)
        self._limit = min(params.max_tokens, served.context - len(prompt))
        self._eos = frozenset() if params.ignore_eos else served.marks.eos
        self._text = EngineStopText(served.tokenizer, params)
        self._unsent_ids: list[int] = []
        self._unsent_logprobs: list[TokenLogprobs] = []

    @property
    def last(self) -> int:
        """The token to feed next."""
        return self.ids[-1]

    @property
    def position(self) -> int:
        """Where `last` stands in the context."""
        return len(self.prompt) + len(self.ids) - 1

    def extend(self, logits: Array, best: int) -> EngineOutput | None:
        """Append one token chosen from `logits` (vocab,), whose maximum is at `best`; returns the output to send."""
        choice = self._chooser.choose(logits, best)
        if choice is None:
            self.complete = True
            return self._flush("error", None)
        if choice.logprobs:
            self._unsent_logprobs.append(choice.logprobs)
        token = choice.token
        self.ids.append(token)
        self._unsent_ids.append(token)
        finish, reason = self._ending(token)
        self.complete = finish is not None
        return self._flush(finish, reason) if self.complete or self.streamed else None

    def _ending(self, token: int) -> tuple[Finish | None, int | str | None]:
        """Add the token's text; returns the finish reason and stop reason if it is the last one."""
        may_stop = len(self.ids) > self._params.min_tokens or not self._params.min_tokens
        ended = may_stop and token in self._eos
        stopped = may_stop and token in self._params.stop_token_ids
        if not (ended or stopped) or self._params.include_stop_str_in_output:
            self._text.push(token)
        if ended:
            return "stop", None
        if stopped:
            return "stop", token
        if may_stop and self._text.found is not None:
            return "stop", self._text.found
        return ("length", None) if len(self.ids) >= self._limit else (None, None)

    def _flush(self, finish: Finish | None, reason: int | str | None) -> EngineOutput:
        text = self._text.take(final=finish is not None)
        output = EngineOutput(tuple(self._unsent_ids), text, tuple(self._unsent_logprobs), finish, reason)
        self._unsent_ids, self._unsent_logprobs = [], []
        return output
