"""What two greedy runs over the same weights may differ by: nothing, but where two tokens are nearly tied.

Processors round differently, so that of two tokens whose log-probabilities are almost equal one run takes this one and
another that one, and all that follows differs. A difference is a tie only if both runs say so themselves.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from router_model.tasks import Prompt
from tests.contract.backend import Backend

# Log-probabilities (nats) nearer than this are a tie, and those of one token are the same. Both engines compute in
# float32, whose rounding moves them by less than 1e-4 whatever the vector instructions; one weight that is wrong in its
# last bit moves them by more than this.
EPSILON = 0.002
# The largest share of all greedy positions that may be ties: a wider epsilon would excuse more than rounding.
MOST_TIES = 0.002
ALTERNATIVES = 3
IN_FLIGHT = 24
LIMIT = 700


@dataclass(frozen=True)
class Run:
    """One greedy answer: its token ids, and at each position the log-probabilities of the likeliest tokens and its own.

    `likeliest` has them by token id; `prompt` are the ids that it answers.
    """

    prompt: Sequence[int]
    ids: Sequence[int]
    likeliest: Sequence[Mapping[int, float]]

    def until(self, end: int) -> Run:
        """The first tokens of it."""
        return Run(self.prompt, self.ids[:end], self.likeliest[:end])

    def margin(self, position: int) -> float:
        """How far its own token is above the likeliest other one, negative where it was forced."""
        own = self.ids[position]
        others = [value for token, value in self.likeliest[position].items() if token != own]
        return self.likeliest[position][own] - max(others)

    def distance(self, position: int, other: int) -> float:
        """Between its own token and another one; infinite where that is not among the likeliest."""
        at = self.likeliest[position]
        return abs(at[self.ids[position]] - at.get(other, -math.inf))


@dataclass(frozen=True)
class Compared:
    """`positions` were compared, `ties` of them are near ties of either run; `faults` are differences that are none.

    `differ` answers do, and `apart` is the most that both runs' log-probabilities of one token at one position do.
    """

    positions: int
    ties: int
    differ: int
    apart: float
    faults: list[str]

    def reasons(self, epsilon: float = EPSILON) -> list[str]:
        """Why these are not two runs of one model; empty when they are."""
        found = list(self.faults)
        if self.apart >= epsilon:
            found.append(f"a log-probability differs by {self.apart:.6f}, and {epsilon} would be a tie")
        if self.ties > MOST_TIES * self.positions:
            found.append(f"{self.ties} of {self.positions} positions are ties within {epsilon}")
        return found


def compared(names: Sequence[str], ours: Sequence[Run], theirs: Sequence[Run], epsilon: float = EPSILON) -> Compared:
    """Each answer of `ours` with its namesake of `theirs`, up to the first difference, after which nothing is alike."""
    positions = ties = differ = 0
    apart = 0.0
    faults = []
    for name, a, b in zip(names, ours, theirs, strict=True):
        if a.prompt != b.prompt:
            faults.append(f"{name}: the prompts differ")
            continue
        end = difference(a.ids, b.ids)
        common = range(min(end, len(a.ids), len(b.ids)))
        positions += len(common)
        ties += sum(min(abs(a.margin(at)), abs(b.margin(at))) < epsilon for at in common)
        apart = max([apart, *(_apart(a.likeliest[at], b.likeliest[at]) for at in common)])
        if end == len(a.ids) == len(b.ids):
            continue
        differ += 1
        if end in (len(a.ids), len(b.ids)):
            faults.append(f"{name}: one ends after {end} tokens, and the other goes on")
            continue
        margins = a.distance(end, b.ids[end]), b.distance(end, a.ids[end])
        if max(margins) >= epsilon:
            faults.append(f"{name}: token {end} differs and is no tie, by {margins[0]:.4f} and {margins[1]:.4f}")
    return Compared(positions, ties, differ, apart, faults)


def _apart(ours: Mapping[int, float], theirs: Mapping[int, float]) -> float:
    """The most that both say differently of one token."""
    return max(abs(ours[token] - theirs[token]) for token in ours.keys() & theirs.keys())


def difference(ours: Sequence[int], theirs: Sequence[int]) -> int:
    """The first position at which they differ; the length of the shorter one where it begins the longer."""
    pairs = enumerate(zip(ours, theirs, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(ours), len(theirs)))


async def runs(backend: Backend, tasks: Sequence[Prompt], fields: Sequence[Mapping[str, Any]]) -> list[Run]:
    """What each prompt is answered greedily, many at a time; `fields` are those of each request."""
    slots = asyncio.Semaphore(IN_FLIGHT)
    shown = {
        "logprobs": True,
        "top_logprobs": ALTERNATIVES,
        "return_token_ids": True,
        "return_tokens_as_token_ids": True,
    }
    async with backend.async_sdk() as client:

        async def ask(task: Prompt, more: Mapping[str, Any]) -> Run:
            asked: Any = {"model": backend.model, "messages": task.messages, "temperature": 0, "max_tokens": LIMIT}
            tools = {"tools": task.tools} if task.tools else {}
            body = {"return_token_ids": True, **shown, **tools, **more}
            async with slots:
                answer = await client.chat.completions.with_raw_response.create(**asked, extra_body=body)
            return run_of(answer.http_response.json())

        return list(await asyncio.gather(*(ask(*pair) for pair in zip(tasks, fields, strict=True))))


def run_of(answer: Mapping[str, Any]) -> Run:
    """From the JSON of a chat completion with token ids and log-probabilities."""
    (choice,) = answer["choices"]
    entries = choice["logprobs"]["content"]
    assert len(entries) == len(choice["token_ids"]), "each token has its log-probabilities"
    likeliest = []
    for own, entry in zip(choice["token_ids"], entries, strict=True):
        assert len(entry["top_logprobs"]) >= 2, "there is another token to compare with"
        named = {int(one["token"].removeprefix("token_id:")): one["logprob"] for one in entry["top_logprobs"]}
        likeliest.append({own: entry["logprob"], **named})
    return Run(answer["prompt_token_ids"], choice["token_ids"], likeliest)
