"""Samples the next token of one answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from gateway.embedded.model import Array

GREEDY_BELOW = 1e-5
Logits = npt.NDArray[np.float64]
MINUS_INFINITY = np.float32(-np.inf)


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """Validated parameters of sampling and of stopping."""

    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    stop_token_ids: frozenset[int] = frozenset()
    include_stop_str_in_output: bool = False
    ignore_eos: bool = False
    min_tokens: int = 0
    skip_special_tokens: bool = True
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    allowed_token_ids: tuple[int, ...] | None = None
    bad_words: tuple[tuple[int, ...], ...] = ()
    logprobs: int | None = None
    thinking_token_budget: int | None = None
    grammar: str | None = None
    grammar_after_thought: bool = True  # else it holds from the first token on

    @property
    def greedy(self) -> bool:
        return self.temperature < GREEDY_BELOW

    @property
    def plain(self) -> bool:
        """Whether the next token is always the most likely one, which is computed for a whole batch at once."""
        return self.greedy and not self.shapes_logits

    @property
    def shapes_logits(self) -> bool:
        penalties = (self.presence_penalty, self.frequency_penalty, self.repetition_penalty)
        rules = (self.logit_bias, self.bad_words, self.min_tokens)
        return penalties != (0.0, 0.0, 1.0) or any(rules) or self.allowed_token_ids is not None


@dataclass(frozen=True, slots=True)
class TokenLogprobs:
    """Natural log-probabilities, in the raw distribution, of the sampled token and then of the most likely ones."""

    ids: tuple[int, ...]
    values: tuple[float, ...]


class Sampler:
    """Samples the tokens of one answer."""

    def __init__(self, params: SamplingParams, prompt: Sequence[int], vocab_size: int, ends: frozenset[int]) -> None:
        """`ends` are the tokens that end the answer, which are forbidden before `min_tokens`."""
        self._params, self._ends = params, ends
        self._random = np.random.default_rng(None if params.seed is None else params.seed % 2**64)
        self._counts = np.zeros(vocab_size, np.float32)
        self._in_prompt = np.zeros(vocab_size, bool)
        self._in_prompt[list(prompt)] = True
        self._made: list[int] = []

    def choose(self, logits: Array) -> int:
        """The next token from `logits` (vocab,), which are not modified."""
        params = self._params
        shaped = self._shaped(logits.copy()) if params.shapes_logits else logits
        if params.greedy:
            return int(shaped.argmax())
        truncated = _truncated(shaped.astype(np.float64) / params.temperature, params)
        return int((truncated + self._random.gumbel(size=truncated.shape)).argmax())

    def saw(self, token: int) -> None:
        """Note the token that was appended, which may be forced and differ from the sampled one."""
        self._counts[token] += 1
        self._made.append(token)

    def _shaped(self, logits: Array) -> Array:
        params = self._params
        if params.allowed_token_ids is not None:
            allowed = np.full_like(logits, MINUS_INFINITY)
            allowed[list(params.allowed_token_ids)] = 0.0
            logits += allowed
        for *start, last in params.bad_words:
            if not start or self._made[-len(start) :] == start:
                logits[last] = MINUS_INFINITY
        if len(self._made) < params.min_tokens:
            logits[list(self._ends)] = MINUS_INFINITY
        for token, bias in params.logit_bias.items():
            logits[token] += np.float32(bias)
        return self._penalised(logits)

    def _penalised(self, logits: Array) -> Array:
        params = self._params
        if params.repetition_penalty != 1.0:
            seen = self._in_prompt | (self._counts > 0)
            worse = np.where(logits > 0, logits / params.repetition_penalty, logits * params.repetition_penalty)
            logits = np.where(seen, worse, logits).astype(np.float32)
        logits -= np.float32(params.frequency_penalty) * self._counts
        logits -= np.float32(params.presence_penalty) * (self._counts > 0)
        return logits


def _truncated(logits: Logits, params: SamplingParams) -> Logits:
    """Logits with the tokens that min_p, top_k and top_p exclude at minus infinity."""
    if params.min_p > 0:
        logits = np.where(logits < logits.max() + np.log(params.min_p), -np.inf, logits)
    if 0 < params.top_k < len(logits):
        smallest = np.partition(logits, -params.top_k)[-params.top_k]
        logits = np.where(logits < smallest, -np.inf, logits)
    if params.top_p < 1:
        order = np.argsort(-logits)
        chances = np.exp(logits[order] - logits[order[0]])
        before = np.cumsum(chances) - chances
        logits = logits.copy()
        logits[order[before >= params.top_p * chances.sum()]] = -np.inf
    return logits


def logprobs_of(logits: Array, token: int, top: int) -> TokenLogprobs:
    """The log-probabilities of `token` and of the `top` most likely tokens under raw `logits` (vocab,)."""
    shifted = logits - logits.max()
    values = shifted - np.log(np.exp(shifted).sum())
    best = np.argpartition(-values, top)[:top] if top else np.empty(0, np.int64)
    order = sorted(best.tolist(), key=lambda number: (-values[number], number))
    ids = tuple(dict.fromkeys([token, *order]))
    return TokenLogprobs(ids, tuple(float(values[number]) for number in ids))
