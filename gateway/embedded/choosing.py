"""The next token of one answer, with everything that has a say in it: grammar, sampling, thinking budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.embedded.constraint import Constraint
from gateway.embedded.model import Array
from gateway.embedded.reasoning_parser import is_thinking
from gateway.embedded.sampling import Sampler, SamplingParams, TokenLogprobs, logprobs_of
from gateway.embedded.served import Served
from gateway.embedded.thinking_budget import ThinkingBudget


@dataclass(frozen=True, slots=True)
class ChosenToken:
    token: int
    logprobs: TokenLogprobs | None


class Chooser:
    def __init__(self, served: Served, params: SamplingParams, prompt: Sequence[int]) -> None:
        self._params = params
        ends = params.stop_token_ids | (frozenset() if params.ignore_eos else served.marks.eos)
        self._sampler = None if params.plain else Sampler(params, prompt, served.config.vocab_size, ends)
        self._budget = _budget(served, params, prompt)
        self._constraint = _constraint(served, params, prompt)

    def choose(self, logits: Array, best: int) -> ChosenToken | None:
        """Out of `logits` (vocab,), whose largest is at `best`. None: the grammar allows nothing."""
        if self._constraint:
            allowed = self._constraint.apply(logits)
            if allowed is None:
                return None
            logits, best = allowed, int(allowed.argmax())
        forced = self._budget.forced if self._budget else None
        token = forced if forced is not None else self._sampler.choose(logits) if self._sampler else best
        for follower in (self._sampler, self._budget, self._constraint):
            if follower:
                follower.saw(token)
        asked = self._params.logprobs
        return ChosenToken(token, None if asked is None else logprobs_of(logits, token, asked))


def _budget(served: Served, params: SamplingParams, prompt: Sequence[int]) -> ThinkingBudget | None:
    if params.thinking_token_budget is None or served.marks.think is None:
        return None
    return ThinkingBudget(params.thinking_token_budget, *served.marks.think, prompt)


def _constraint(served: Served, params: SamplingParams, prompt: Sequence[int]) -> Constraint | None:
    """A grammar is for the answer: while the model thinks it does not hold, unless the request says so."""
    if params.grammar is None:
        return None
    think = served.marks.think if params.grammar_after_thought else None
    waits = think is not None and is_thinking(prompt, served.tokenizer, enabled=True)
    return served.grammars.constraint(params.grammar, think[1] if think and waits else None)
