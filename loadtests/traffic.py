"""What users ask: sessions of turns, drawn from the task suite, the same ones for the same seed.

A turn brings new messages; the next one of its session follows the answer, as in a chat or a loop of tools. A session
of one turn is a request by itself.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

from router_model.tasks import FAMILIES, Prompt, generate

# None leaves the field out, which means the same as "auto". Most clients let the gateway decide.
EFFORTS: tuple[str | None, ...] = (None, "auto", "auto", "none", "low", "medium", "high")

# Room for the longest thought and answer of the suite; a model that loops is cut here.
MAX_TOKENS = 512
CHAT_TURNS = (2, 4)
AGENT_TURNS = 10
BATCH = tuple(name for name, task in FAMILIES.items() if task.kind == "instruct" and task.tools is None)
TOOLS = ("tool_result",)


@dataclass(frozen=True, slots=True)
class Ask:
    """One turn: the prompt with its verifier, the new messages, and the request's options. `name` groups reports."""

    prompt: Prompt
    name: str
    effort: str
    stream: bool
    messages: list[dict[str, Any]]
    fields: Mapping[str, Any]

    def body(self, history: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
        """The request body, with the earlier messages of the session."""
        body = {"messages": [*history, *self.messages], "temperature": 0, "max_tokens": MAX_TOKENS, **self.fields}
        if self.prompt.tools:
            body["tools"] = self.prompt.tools
        if self.stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        return body

    @property
    def expected(self) -> dict[str, Any]:
        """The message of a model that answers correctly."""
        if self.prompt.verifier != "tool":
            return {"role": "assistant", "content": self.prompt.answer}
        call = json.loads(self.prompt.answer.split("\n")[1])
        function = {"name": call["name"], "arguments": json.dumps(call["arguments"])}
        return {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "call_1", "type": "function", "function": function}],
        }


@dataclass(frozen=True, slots=True)
class Session:
    """Turns of one conversation, `id` its name."""

    id: str
    turns: list[Ask] = field(default_factory=list)


Traffic = Callable[[Sequence[str], int], Iterator[Session]]


def mixed(models: Sequence[str], seed: int) -> Iterator[Session]:
    """Instructions and reasoning tasks alternate, with every way to request an effort; every other one is streamed."""
    return _single(models, seed, EFFORTS, stream=0.5)


def streamed(models: Sequence[str], seed: int) -> Iterator[Session]:
    """The same tasks, all streamed, with the effort left to the gateway."""
    return _single(models, seed, ("auto",), stream=1.0)


def chat(models: Sequence[str], seed: int) -> Iterator[Session]:
    """Conversations of a few turns, streamed; the effort is left to the gateway."""
    rng = random.Random(seed)
    prompts = _prompts(seed, None)
    for number in count():
        id, model = f"chat-{seed}-{number}", rng.choice(models)
        turns = []
        for turn in range(rng.randint(*CHAT_TURNS)):
            prompt = next(prompts)
            # Only the first turn has a system message.
            messages = [message for message in prompt.messages if turn == 0 or message["role"] != "system"]
            fields = _fields(model, "auto", id)
            turns.append(Ask(prompt, f"turn {turn + 1}", "auto", True, messages, fields))
        yield Session(id, turns)


def batch(models: Sequence[str], seed: int) -> Iterator[Session]:
    """Extraction and rewriting in bulk: plain, without thinking, in the batch tier."""
    rng = random.Random(seed)
    for number, prompt in enumerate(_prompts(seed, BATCH)):
        fields = {**_fields(rng.choice(models), "none", f"batch-{seed}-{number}"), "service_tier": "flex"}
        yield Session(f"batch-{seed}-{number}", [Ask(prompt, prompt.family, "none", False, prompt.messages, fields)])


def agent(models: Sequence[str], seed: int) -> Iterator[Session]:
    """A loop of ten turns with a growing history: call a tool, get its result, put it into words, and again."""
    rng = random.Random(seed)
    prompts = _prompts(seed, TOOLS)
    for number in count():
        id, model = f"agent-{seed}-{number}", rng.choice(models)
        turns: list[Ask] = []
        while len(turns) < AGENT_TURNS:
            result = next(prompts)
            call = _call_of(result)
            begin = [message for message in call.messages if not turns or message["role"] != "system"]
            fields = _fields(model, "auto", id)
            turns.append(Ask(call, "call", "auto", True, begin, fields))
            turns.append(Ask(result, "result", "auto", True, result.messages[-1:], fields))
        yield Session(id, turns)


def _call_of(result: Prompt) -> Prompt:
    """The turn before a tool's result: the same problem, answered rightly by the call."""
    function = result.messages[-2]["tool_calls"][0]["function"]
    call = json.dumps({"name": function["name"], "arguments": json.loads(function["arguments"])})
    return replace(result, messages=result.messages[:-2], answer=f"<tool_call>\n{call}\n</tool_call>", verifier="tool")


def _single(models: Sequence[str], seed: int, efforts: Sequence[str | None], stream: float) -> Iterator[Session]:
    rng = random.Random(seed)
    for number, prompt in enumerate(_prompts(seed, None)):
        id, effort = f"single-{seed}-{number}", rng.choice(efforts)
        fields = _fields(rng.choice(models), effort, id)
        yield Session(id, [Ask(prompt, prompt.kind, effort or "auto", rng.random() < stream, prompt.messages, fields)])


def _prompts(seed: int, families: Sequence[str] | None) -> Iterator[Prompt]:
    """Endless: when all have been used, they repeat in another order."""
    for again in count():
        yield from generate(seed + 1000 * again, 20_000, split="held-out", families=families)


def _fields(model: str, effort: str | None, conversation: str) -> dict[str, Any]:
    fields: dict[str, Any] = {"model": model, "metadata": {"conversation_id": conversation}}
    return fields if effort is None else {**fields, "reasoning_effort": effort}
