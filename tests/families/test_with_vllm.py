"""What goes out, given to vLLM's own code: it takes every body, and the words do what the family's row says they do."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gateway.families import table
from tests import vllm_env
from tests.every import every
from tests.families.record import ASKED, QUESTION, TOOLS, TURNS, read

HERE = Path(__file__).parent
SERVED = [name for name in table.shipped().names() if "vllm" in table.shipped().engines(name)]
# The reasoning parser that a server of each family is started with.
PARSERS = {
    "qwen3": "qwen3",
    "qwen3-2507": "qwen3",
    "qwen3.5": "qwen3",
    "qwen3.6": "qwen3",
    "qwen3.8": "qwen3",
    "glm-4.5": "glm45",
    "glm-4.7": "glm47",
    "glm-5.2": "glm47",
    "glm-5.3": "glm47",
    "deepseek-v3.1": "deepseek_v3",
    "deepseek-v3.2": "deepseek_v3",
    "deepseek-v4": "deepseek_v4",
    "deepseek-v4.1": "deepseek_v41",
    "gpt-oss": "openai_gptoss",
    "kimi-k2-thinking": "kimi_k2",
    "kimi-k2.7-code": "kimi_k2",
    "kimi-k2.5": "kimi_k2",
    "kimi-k3": "kimi_k3",
    "minimax-m2": "minimax_m2",
    "minimax-m3": "minimax_m3",
    "granite-3.2": "granite",
    "granite-4": "granite_thinking_parser",
    "nemotron-3": "nemotron_v3",
    "nemotron-3-super": "nemotron_v3",
    "nemotron-3-ultra": "nemotron_v3",
    "hunyuan-a13b": "hunyuan_a13b",
    "hy3": "hy_v3",
    "hy4": "hy_v4",
    "ernie-4.5": "ernie45",
    "gemma-4": "gemma4",
    "mistral-small-4": "mistral",
    "inkling": "inkling",
    "step-3.5": "step3p5",
    "step-3.7": "step3p5",
    "ring-2.6": "deepseek_r1",
    "deepseek-r1": "deepseek_r1",
    "olmo-3": "olmo3",
    "mimo": "mimo",
    "ling-3": "ling3",
    "laguna": "poolside_v1",
    "laguna-s": "poolside_v1",
    "command-a": "cohere_command4",
}
# What a client could say for itself, and what vLLM's own code says to that.
REFUSED = {
    ("deepseek-v4.1", "medium"): "reasoning_effort must be low, high, xhigh, max",
    ("deepseek-v4.1", "minimal"): "reasoning_effort must be low, high, xhigh, max",
    ("gpt-oss", "none"): "not supported by Harmony",
    ("gpt-oss", "max"): "not supported by Harmony",
    ("kimi-k3", "medium"): "supports thinking_effort values: low, high, max",
    ("plain", "ultra"): "Input should be",
}


@pytest.fixture(scope="session")
def vllm() -> dict[str, Any]:
    """What vLLM makes of every recorded body, of the turns with their thoughts, and of a client's own words."""
    if not vllm_env.is_ready():
        pytest.skip("there is no vLLM here: python -m tests.vllm_env")
    families: dict[str, dict[str, Any]] = {}
    for name in SERVED:
        recorded = read(name)["vllm"]
        families[name] = {asked: {"messages": [QUESTION], "body": recorded["asked"][asked]["told"]} for asked in ASKED}
        answers = iter(recorded["thoughts_go_back"]["answers"])
        turns = [next(answers) if message["role"] == "assistant" else message for message in TURNS]
        body = {**recorded["asked"]["high"]["told"], "tools": TOOLS}
        families[name]["turns"] = {"messages": turns, "body": body}
    for name, level in REFUSED:
        families[name]["raw " + level] = {"messages": [QUESTION], "body": {"reasoning_effort": level}}
    own = {"reasoning_effort": "high", "chat_template_kwargs": {"enable_thinking": True}}
    families["mistral-small-4"]["raw kwargs"] = {"messages": [QUESTION], "body": own}
    done = subprocess.run(
        [vllm_env.ENVIRONMENT / "bin" / "python", HERE / "vllm_says.py"],
        input=json.dumps({"families": families, "parsers": sorted({*PARSERS.values()})}),
        capture_output=True,
        text=True,
        env=vllm_env.variables(),
    )
    assert done.returncode == 0, done.stderr[-2000:]
    said: dict[str, Any] = json.loads(done.stdout[done.stdout.index('{"families"') :])
    return said


def test_vllm_takes_every_body(vllm: dict[str, Any]) -> None:
    every([(name,) for name in SERVED])(lambda name: is_taken(vllm, name))()


def is_taken(vllm: dict[str, Any], name: str) -> None:
    recorded = read(name)["vllm"]["asked"]
    for asked in ASKED:
        said = vllm["families"][name][asked]
        assert "error" not in said
        if recorded[asked]["applied"] is None:
            continue
        told = recorded[asked]["told"]
        assert said["budget"] == told.get("thinking_token_budget")
        for word, value in (told.get("chat_template_kwargs") or {}).items():
            assert said["kwargs"][word] == value, "vLLM hands it to the template as it was told"
        thinks = recorded[asked]["applied"] != "none"
        assert said["kwargs"].get("enable_thinking", thinks) == thinks, "what vLLM adds does not contradict it"
    assert "error" not in vllm["families"][name]["turns"]


def test_budgets_are_told_where_the_parser_can_keep_them(vllm: dict[str, Any]) -> None:
    for name, parser in PARSERS.items():
        keeps = vllm["keeps_budgets"][parser]
        assert keeps == (table.family(name).budget_field == "thinking_token_budget"), name


def test_every_family_has_its_parser() -> None:
    without = {"smollm3", "seed-oss", "k2-horizon", "instruct", "plain"}
    assert {*PARSERS} | without == {*SERVED}, "or none of its own, or keeps no budgets with it for another reason"


@pytest.mark.parametrize("name", ["deepseek-v3.2", "deepseek-v4", "deepseek-v4.1"])
def test_deepseek_opens_a_thought_exactly_where_it_is_told_to(vllm: dict[str, Any], name: str) -> None:
    recorded = read(name)["vllm"]["asked"]
    for asked in ASKED:
        prompt = vllm["families"][name][asked]["rendered"]
        assert prompt.endswith("</think>" if recorded[asked]["applied"] == "none" else "<think>")
    prompts = {vllm["families"][name][level]["rendered"] for level in table.family(name).levels}
    distinct = {"deepseek-v3.2": 0, "deepseek-v4": 3, "deepseek-v4.1": 3}[name]
    assert len(prompts) == distinct, "levels differ, but for high and xhigh of V4.1"


@pytest.mark.parametrize(
    ("name", "earlier"), [("deepseek-v3.2", False), ("deepseek-v4", True), ("deepseek-v4.1", True)]
)
def test_deepseek_sees_the_thoughts_that_its_row_keeps(vllm: dict[str, Any], name: str, earlier: bool) -> None:
    prompt = vllm["families"][name]["turns"]["rendered"]
    assert "I need a sum</think>" in prompt
    assert ("a greeting</think>" in prompt) == earlier


def test_words_of_families_that_vllm_renders_itself(vllm: dict[str, Any]) -> None:
    said = {name: vllm["families"][name] for name in ("gpt-oss", "inkling", "kimi-k3", "mistral-small-4")}
    levels = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
    assert [said["gpt-oss"][level]["rendered"] for level in levels] == ["Low"] * 3 + ["Medium"] + ["High"] * 3
    assert [said["inkling"][level]["rendered"] for level in levels] == [0.0, 0.1, 0.2, 0.7, 0.9, 0.99, 0.99]
    assert said["kimi-k3"]["none"]["rendered"] == {"thinking": False}
    efforts = [said["kimi-k3"][level]["rendered"]["thinking_effort"] for level in levels[1:]]
    assert efforts == ["low", "low", "low", "high", "high", "max"]
    assert [said["mistral-small-4"][level]["rendered"] for level in levels[:3]] == ["none", "none", "high"]


@pytest.mark.parametrize(("name", "level"), REFUSED)
def test_what_is_rounded_would_have_been_refused(vllm: dict[str, Any], name: str, level: str) -> None:
    assert REFUSED[name, level] in vllm["families"][name]["raw " + level]["error"]


def test_mistral_takes_no_template_switch(vllm: dict[str, Any]) -> None:
    assert "not supported for Mistral" in vllm["families"]["mistral-small-4"]["raw kwargs"]["error"]
