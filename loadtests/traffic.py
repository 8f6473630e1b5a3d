"""What the users ask: instruct work and reasoning in turn, at every way of saying how hard to think."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from router_model.tasks import Prompt, generate

# None leaves the field out, which means the same as "auto". Most clients let the gateway decide.
EFFORTS: tuple[str | None, ...] = (None, "auto", "auto", "none", "low", "medium", "high")

# Room for the longest thought and answer of the suite; a model that loops is cut here.
MAX_TOKENS = 512


@dataclass(frozen=True, slots=True)
class Ask:
    """One request: the prompt that it came from (to judge the answer by), what it asks for, and its body."""

    prompt: Prompt
    effort: str
    stream: bool
    body: dict[str, Any]

    @property
    def name(self) -> str:
        """How locust groups it; the report tells the efforts apart."""
        return f"{self.prompt.kind}, {'streamed' if self.stream else 'plain'}"


def mixed(models: Sequence[str], seed: int, n: int) -> Iterator[Ask]:
    """`n` requests, the same ones for the same seed; every other one is streamed, on average."""
    rng = random.Random(seed)
    for prompt in generate(seed, n, split="held-out"):
        yield _ask(prompt, rng.choice(models), rng.choice(EFFORTS), rng.random() < 0.5)


def _ask(prompt: Prompt, model: str, effort: str | None, stream: bool) -> Ask:
    body: dict[str, Any] = {"model": model, "messages": prompt.messages, "temperature": 0, "max_tokens": MAX_TOKENS}
    if prompt.tools:
        body["tools"] = prompt.tools
    if effort is not None:
        body["reasoning_effort"] = effort
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return Ask(prompt, effort or "auto", stream, body)
