"""Chooses the next token of one answer from grammar, sampling and thinking budget."""

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
        """The next token from `logits` (vocab,), whose maximum is at `best`. None: the grammar allows no token."""
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
        top = self._params.logprobs
        return ChosenToken(token, None if top is None else logprobs_of(logits, token, top))


def _budget(served: Served, params: SamplingParams, prompt: Sequence[int]) -> ThinkingBudget | None:
    if params.thinking_token_budget is None or served.marks.think is None:
        return None
    return ThinkingBudget(params.thinking_token_budget, *served.marks.think, prompt)


def _constraint(served: Served, params: SamplingParams, prompt: Sequence[int]) -> Constraint | None:
    """The constraint of the request's grammar, which applies after the reasoning unless the request says otherwise."""
    if params.grammar is None:
        return None
    think = served.marks.think if params.grammar_after_thought else None
    waits = think is not None and is_thinking(prompt, served.tokenizer, enabled=True)
    return served.grammars.constraint(params.grammar, think[1] if think and waits else None)
