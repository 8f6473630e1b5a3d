"""What goes out, rendered: the words switch thinking, name the level and keep the thoughts, as the rows say.

The templates are our own, small ones, written after how each family's own is documented to behave; they refuse words
that the family does not know. Families that vLLM renders by code of its own are in `test_with_vllm.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from gateway.embedded.chat_template import ChatTemplate
from gateway.embedded.prompts import template_kwargs
from gateway.embedded.protocol import ChatRequest
from gateway.families import table
from tests.every import every
from tests.families.record import ASKED, QUESTION, TURNS, read

FOLDER = Path(__file__).parent / "templates"


class Renders(NamedTuple):
    """A template, and what is particular to a family in it: the words it knows, and whether it keeps all thoughts."""

    template: str
    words: Sequence[str] | None = None
    keeps_all: bool = False

    def particulars(self) -> dict[str, Any]:
        return {"keeps_all": self.keeps_all} | ({} if self.words is None else {"words": self.words})


TEMPLATES = {
    "qwen3": Renders("switch_on"),
    "qwen3.5": Renders("switch_on"),
    "qwen3.6": Renders("switch_on"),
    "qwen3.8": Renders("switch_on", ("low", "medium", "xhigh")),
    "glm-4.5": Renders("switch_on"),
    "glm-4.7": Renders("switch_on"),
    "glm-5.2": Renders("switch_on", ("high", "max")),
    "glm-5.3": Renders("always", ("low", "high", "max")),
    "deepseek-v3.1": Renders("thinking_off"),
    "granite-3.2": Renders("thinking_off"),
    "kimi-k2-thinking": Renders("always"),
    "kimi-k2.7-code": Renders("always", keeps_all=True),
    "kimi-k2.5": Renders("thinking_on"),
    "kimi-k3": Renders("thinking_on", ("low", "high", "max"), keeps_all=True),
    "minimax-m2": Renders("always"),
    "minimax-m3": Renders("mode"),
    "granite-4": Renders("switch_on"),
    "nemotron-3": Renders("switch_on"),
    "nemotron-3-super": Renders("switch_on"),
    "nemotron-3-ultra": Renders("switch_on"),
    "smollm3": Renders("switch_on"),
    "seed-oss": Renders("budget"),
    "hunyuan-a13b": Renders("switch_on"),
    "hy3": Renders("words", ("no_think", "low", "high")),
    "ernie-4.5": Renders("switch_on"),
    "gemma-4": Renders("switch_off"),
    "mistral-small-4": Renders("words", ("none", "high")),
    "step-3.5": Renders("always"),
    "step-3.7": Renders("always", ("low", "medium", "high")),
    "ring-2.6": Renders("always", ("low", "medium", "high")),
    "mimo": Renders("switch_off"),
    "ling-3": Renders("switch_on"),
    "laguna": Renders("switch_off", keeps_all=True),
    "laguna-s": Renders("switch_on"),
}
CASES = [(name, engine) for name in TEMPLATES for engine in table.shipped().engines(name)]
ROWS = every(CASES)


def prompt(name: str, engine: str, told: Mapping[str, Any], messages: Sequence[Mapping[str, Any]] = (QUESTION,)) -> str:
    """The prompt of a body at an engine."""
    renders = TEMPLATES[name]
    words = kwargs_at_sglang(name, told) if engine == "sglang" else kwargs_at_vllm(told)
    shown = [_shown(message) for message in messages]
    return compiled(renders.template).render(shown, None, {**renders.particulars(), **words}, True, False)


@cache
def compiled(template: str) -> ChatTemplate:
    return ChatTemplate(FOLDER / template)


def kwargs_at_vllm(told: Mapping[str, Any]) -> dict[str, Any]:
    return template_kwargs(ChatRequest.model_validate({"model": "m", "messages": [QUESTION], **told}))


def kwargs_at_sglang(name: str, told: Mapping[str, Any]) -> dict[str, Any]:
    """As its server has it: an effort sets both switches, unless they are told themselves; Hy3 has words of its own."""
    kwargs = dict(told.get("chat_template_kwargs") or {})
    effort = told.get("reasoning_effort")
    if name == "hy3":
        return {"reasoning_effort": {None: "high", "none": "no_think"}.get(effort, effort), **kwargs}
    if effort is None:
        return kwargs
    return {"reasoning_effort": effort, "thinking": effort != "none", "enable_thinking": effort != "none", **kwargs}


def _shown(message: Mapping[str, Any]) -> dict[str, Any]:
    """Engines show a thought to the template under both names."""
    thought = message.get("reasoning") or message.get("reasoning_content")
    return {**message, "reasoning": thought, "reasoning_content": thought}


@ROWS
def test_a_thought_is_opened_exactly_where_one_is_wanted(name: str, engine: str) -> None:
    for asked in ASKED:
        seen = read(name)[engine]["asked"][asked]
        told = prompt(name, engine, seen["told"])
        assert told.endswith("<think></think>" if seen["applied"] == "none" else "<think>"), asked


@ROWS
def test_told_nothing_it_does_what_the_row_says(name: str, engine: str) -> None:
    opened = prompt(name, engine, {})
    ends = {"on": "<think>", "off": "<think></think>", "adaptive": "[assistant]"}
    assert opened.endswith(ends[table.shipped().family(name, engine).default])  # type: ignore[arg-type]


@ROWS
def test_the_level_that_is_told_is_in_the_prompt(name: str, engine: str) -> None:
    row = table.shipped().family(name, engine)  # type: ignore[arg-type]
    for level, value in row.levels.items():
        said = prompt(name, engine, read(name)[engine]["asked"][level]["told"])
        words = f"(effort {value})" if isinstance(value, str) else f"(effort {level})"
        assert (words in said) == (value is not False)


@ROWS
def test_the_template_shows_the_thoughts_that_the_row_keeps(name: str, engine: str) -> None:
    """Given all thoughts, as a client might send them: what the template then shows is what the gateway sends."""
    recorded = read(name)[engine]
    row = table.shipped().family(name, engine)  # type: ignore[arg-type]
    told = recorded["asked"]["high"]["told"]
    kept = recorded["thoughts_go_back"]["told_besides"].get("chat_template_kwargs", {})
    if kept:
        told = {**told, "chat_template_kwargs": {**told.get("chat_template_kwargs", {}), **kept}}
    answers = iter(recorded["thoughts_go_back"]["answers"])
    sent = [next(answers) if message["role"] == "assistant" else message for message in TURNS]
    shown = prompt(name, engine, told, sent)
    assert ("a greeting</think>" in shown) == (row.history == "keep")
    assert ("I need a sum</think>" in shown) == (row.history != "drop")
    if row.history != "drop":
        assert prompt(name, engine, told, TURNS) == shown, "the template would have left out the same"


def test_a_budget_in_the_prompt_is_a_multiple_of_what_it_may_be() -> None:
    told = read("seed-oss")["vllm"]["asked"]["3000 tokens"]["told"]
    assert "(budget 2560)" in prompt("seed-oss", "vllm", told)
