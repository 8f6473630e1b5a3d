"""One answer in the making: its prompt, the tokens so far, and when it ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from gateway.embedded.model import Array
from gateway.embedded.sampling import Sampler, SamplingParams, TokenLogprobs, logprobs_of
from gateway.embedded.thinking_budget import ThinkingBudget
from gateway.embedded.tokenizer import Detokenizer, Tokenizer

Finish = Literal["stop", "length", "error"]


@dataclass(frozen=True, slots=True)
class Output:
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


@dataclass(frozen=True, slots=True)
class Marks:
    """Tokens with a meaning. `think` holds the ids of <think> and </think>; None: a model that does not think."""

    eos: frozenset[int]
    think: tuple[int, int] | None


class Answer:
    """Owned by the decoding thread once it is submitted, apart from `cancelled`, which anyone may set."""

    def __init__(
        self,
        prompt: Sequence[int],
        params: SamplingParams,
        marks: Marks,
        tokenizer: Tokenizer,
        vocab_size: int,
        context: int,
        receive: Callable[[Output], None],
        streamed: bool,
    ) -> None:
        """`receive` gets every output if `streamed`, else a single one at the end."""
        self.prompt, self.params, self.receive, self.streamed = list(prompt), params, receive, streamed
        self.ids: list[int] = []
        self.times = Times()
        self.cancelled = self.complete = False
        self.cached = 0  # prompt tokens that did not have to be read
        self._limit = min(params.max_tokens, context - len(prompt))
        self._eos = frozenset() if params.ignore_eos else marks.eos
        self._sampler = None if params.plain else Sampler(params, prompt, vocab_size, self._eos | params.stop_token_ids)
        self._budget = _budget(params, marks, prompt)
        self._text = StopText(Detokenizer(tokenizer, _skipped(tokenizer, params)), params)
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

    def extend(self, logits: Array, best: int) -> Output | None:
        """Take one more token out of `logits` (vocab,), whose largest is at `best`; returns what is to be sent."""
        forced = self._budget.forced if self._budget else None
        token = forced if forced is not None else self._sampler.choose(logits) if self._sampler else best
        if self.params.logprobs is not None:
            self._unsent_logprobs.append(logprobs_of(logits, token, self.params.logprobs))
        if self._sampler:
            self._sampler.saw(token)
        if self._budget:
            self._budget.saw(token)
        self.ids.append(token)
        self._unsent_ids.append(token)
        finish, reason = self._ending(token)
        self.complete = finish is not None
        return self._flush(finish, reason) if self.complete or self.streamed else None

    def _ending(self, token: int) -> tuple[Finish | None, int | str | None]:
        """Whether and why `token` is the last one; takes its text along."""
        may_stop = len(self.ids) > self.params.min_tokens or not self.params.min_tokens
        ended = may_stop and token in self._eos
        stopped = may_stop and token in self.params.stop_token_ids
        if not (ended or stopped) or self.params.include_stop_str_in_output:
            self._text.push(token)
        if ended:
            return "stop", None
        if stopped:
            return "stop", token
        if may_stop and self._text.found is not None:
            return "stop", self._text.found
        return ("length", None) if len(self.ids) >= self._limit else (None, None)

    def _flush(self, finish: Finish | None, reason: int | str | None) -> Output:
        text = self._text.take(final=finish is not None)
        output = Output(tuple(self._unsent_ids), text, tuple(self._unsent_logprobs), finish, reason)
        self._unsent_ids, self._unsent_logprobs = [], []
        return output


class StopText:
    """The text of an answer up to a stop string; what could be the beginning of one is held back."""

    def __init__(self, detokenizer: Detokenizer, params: SamplingParams) -> None:
        self._detokenizer, self._stops, self._inclusive = detokenizer, params.stop, params.include_stop_str_in_output
        self._held = 0 if self._inclusive else max((len(stop) - 1 for stop in params.stop), default=0)
        self._pending = ""
        self._behind = ""  # what was taken already, as far as a stop string may reach back
        self.found: str | None = None

    def push(self, token: int) -> None:
        new = self._detokenizer.push(token)
        self._pending += new
        if self._stops and new:
            self._search(len(new))

    def take(self, final: bool) -> str:
        """The text that can be shown now, all of it when `final`."""
        end = len(self._pending) if final else max(0, len(self._pending) - self._held)
        taken, self._pending = self._pending[:end], self._pending[end:]
        longest = max((len(stop) for stop in self._stops), default=0)
        self._behind = (self._behind + taken)[-longest:] if longest else ""
        return taken

    def _search(self, new: int) -> None:
        """Cut at the first stop string that the last `new` characters complete."""
        text, offset = self._behind + self._pending, len(self._behind)
        found = [
            (place, stop)
            for stop in self._stops
            if (place := text.find(stop, max(0, len(text) - new - len(stop) + 1))) >= 0
        ]
        if found:
            place, self.found = min(found, key=lambda pair: pair[0] + len(pair[1]))
            end = place + (len(self.found) if self._inclusive else 0)
            self._pending = self._pending[: max(0, end - offset)]


def _budget(params: SamplingParams, marks: Marks, prompt: Sequence[int]) -> ThinkingBudget | None:
    if params.thinking_token_budget is None or marks.think is None:
        return None
    return ThinkingBudget(params.thinking_token_budget, *marks.think, prompt)


def _skipped(tokenizer: Tokenizer, params: SamplingParams) -> frozenset[int]:
    return tokenizer.special_ids if params.skip_special_tokens else frozenset()
