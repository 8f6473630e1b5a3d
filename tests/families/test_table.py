"""The table as data: how rows are put together, an operator's own, and what is said of a wrong one."""

from __future__ import annotations

import json
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gateway.cli import main
from gateway.commands.check import explain
from gateway.config.settings import parse
from gateway.core.errors import ConfigError
from gateway.families import table
from gateway.families.describe import describe_family
from gateway.families.nearest import replacements
from tests.every import every

BASE: dict[str, Any] = {
    "deployments": {"d": {"url": "http://gpu:8000", "family": "mine"}},
    "models": {"m": {"deployment": "d", "policy": {"kind": "client", "budgets": [1024]}}},
}


def with_row(row: dict[str, Any], **deployment: Any) -> list[str]:
    """What `check` says of a configuration whose family `mine` is this row."""
    deployments = {"d": {**BASE["deployments"]["d"], **deployment}}
    return list(explain(parse({**BASE, "deployments": deployments, "families": {"mine": row}})))


def faults_of(row: dict[str, Any], **deployment: Any) -> list[str]:
    with pytest.raises(ConfigError) as wrong:
        with_row(row, **deployment)
    return wrong.value.faults


@pytest.mark.parametrize(
    ("levels", "can_be_off", "said", "expected"),
    [
        ("low high max", True, {}, "low low - low - high -"),
        ("low high max", False, {}, "low low - low - high -"),
        ("high", True, {}, "none high high - high high"),
        ("high", False, {}, "high high high - high high"),
        ("low medium xhigh", True, {"high": "xhigh"}, "low - - xhigh - xhigh"),
        ("minimal max", True, {}, "- minimal minimal max max -"),
        ("low max", True, {"high": "xhigh", "medium": "max"}, "low - max low max -"),
        ("low max", False, {"minimal": "none"}, "low - low low max -"),
    ],
)
def test_the_nearest_level_stands_in(levels: str, can_be_off: bool, said: dict[str, str], expected: str) -> None:
    found = replacements(levels.split(), can_be_off, said)
    names = ("minimal", "low", "medium", "high", "xhigh", "max")
    wanted = expected.split()[-6:]
    assert [found.get(name, "-") for name in names] == wanted


def test_a_family_without_levels_has_nothing_that_stands_in() -> None:
    assert replacements([], True, {"low": "high"}) == {}


def test_every_row_is_complete_without_its_engine() -> None:
    """A row that is nobody's variant says all that matters of its own accord."""
    read = tomllib.loads((files("gateway.families") / "table.toml").read_text("utf-8"))
    for name, row in read["families"].items():
        said = {"about", "source"} | ({"hybrid", "default", "off", "on", "history"} if "base" not in row else set())
        assert said <= {*row}, name


def test_an_engine_differs_in_its_words_and_fields() -> None:
    at_vllm, at_sglang = table.family("qwen3", "vllm"), table.family("qwen3", "sglang")
    assert (at_vllm.budget_field, at_vllm.answer_field) == ("thinking_token_budget", "reasoning")
    assert (at_sglang.budget_field, at_sglang.answer_field) == ("custom_params.thinking_budget", "reasoning_content")
    assert table.family("hy3", "vllm").off != table.family("hy3", "sglang").off
    assert table.family("qwen3") is table.family("qwen3"), "read once"


def test_faults_of_budgets_are_told_only_of_families_that_have_them_from_their_engine() -> None:
    told = {fault.source for fault in table.family("qwen3").known_issues}
    assert {fault.source for fault in table.family("seed-oss").known_issues}.isdisjoint(told)
    assert not table.family("hunyuan-a13b").known_issues


def test_an_operators_row_takes_over_what_it_does_not_say() -> None:
    row = {"base": "qwen3.8", "budget_field": False, "levels": {"low": "kurz", "max": 9}, "source": "our own template"}
    said = "\n".join(with_row(row, engine="sglang"))
    assert "Family mine (sglang), hybrid with levels" in said
    assert "Levels: low, max, set in reasoning_effort." in said
    assert "Budget: not supported." in said
    assert "chat_template_kwargs {enable_thinking: true} and reasoning_effort kurz" in said


def test_an_operators_row_overrides_one_that_ships_cell_by_cell() -> None:
    own = {"deepseek-v3.1": {"vllm": {"budget_field": "thinking_token_budget"}, "source": "--reasoning-config is set"}}
    chosen = parse({**BASE, "deployments": {"d": {"url": "http://gpu", "family": "deepseek-v3.1"}}, "families": own})
    known = table.shipped().with_rows(chosen.families)
    row = known.family("deepseek-v3.1")
    assert row.budget_field == "thinking_token_budget"
    assert row.off == table.family("deepseek-v3.1").off
    assert known.family("deepseek-v3.2").budget_field == "thinking_token_budget", "and those that come from it"
    assert table.family("deepseek-v3.1").budget_field is None, "the shipped table is as it was"


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ({"base": "qwen33"}, "families.mine.base: 'qwen33' is unknown. Did you mean 'qwen3'?"),
        ({"base": "mine"}, "families.mine.base: mine → mine is a cycle"),
        ({"leves": {}}, "families.mine.leves: unknown key. Did you mean 'levels'?"),
        ({"levels": {"hihg": "high"}}, "families.mine.levels.hihg: input should be 'minimal', 'low', 'medium', 'high'"),
        ({"levels": {"low": "low"}}, "families.mine.level_field: is required where there are levels"),
        ({"base": "qwen3", "on": False, "off": False}, "families.mine.off: both off and on are false"),
        ({"history": "all"}, "families.mine.history: input should be 'drop', 'tools' or 'keep'"),
        ({"off": 3}, "families.mine.off: input should be a valid dictionary"),
        ({"sglang": {"of": {}}}, "families.mine.sglang.of: unknown key. Did you mean 'off'?"),
        ({"budget_field": "a..b"}, "families.mine.budget_field: string should match pattern"),
        ({"budget_least": 0}, "families.mine.budget_least: input should be greater than or equal to 1"),
        (
            {"base": "qwen3", "budget_least": 9, "budget_most": 8},
            "families.mine.budget_most: 8 is less than budget_least, 9",
        ),
        ({"engine": "vlm"}, "families.mine.engine: input should be 'vllm', 'sglang' or 'hosted'"),
        ({"engine": "hosted", "vllm": {}}, "families.mine: a hosted row has no cells for other engines"),
        (
            {"known_issues": [{"when": "x", "what": "y", "source": "z"}]},
            "families.mine.known_issues[0].way_round: is required",
        ),
    ],
)
def test_a_wrong_row_is_one_clear_line(row: dict[str, Any], fault: str) -> None:
    found = faults_of(row)
    assert len(found) == 1
    assert found[0].startswith(fault)


def test_a_deployment_names_an_engine_that_serves_its_family() -> None:
    wrong = {**BASE["deployments"]["d"], "family": "deepseek-api", "engine": "vllm"}
    with pytest.raises(ConfigError, match=r"deployments\.d\.engine: vllm does not serve family deepseek-api"):
        list(explain(parse({**BASE, "deployments": {"d": wrong}})))


@every([(name,) for name in table.shipped().names()])
def test_every_row_can_be_said_in_words(name: str) -> None:
    for engine in table.shipped().engines(name):
        row = table.shipped().family(name, engine)
        lines = list(describe_family(row, sources=True))
        assert "no source" not in " ".join(lines)
        if not row.passes_through:
            assert len(lines) >= 5
            assert all(line.endswith("]") for line in lines)


def unwrapped(output: str) -> str:
    """Without the ends of lines, which are where 80 columns end."""
    return " ".join(output.split())


def test_check_says_how_a_family_is_told_and_where_that_is_written(tmp_path: Path) -> None:
    config = tmp_path / "thinkgate.toml"
    config.write_text(
        'deployments.d = {url = "http://x", family = "glm-5.3"}\nmodels.m = {deployment = "d"}\n', "utf-8"
    )
    short = unwrapped(CliRunner().invoke(main, ["check", str(config)]).output)
    for line in (
        "No thinking: not supported; the nearest is the level low.",
        "Others are rounded: minimal becomes low, medium becomes low, xhigh becomes high.",
        "Reasoning of all turns is sent back, as reasoning, with chat_template_kwargs {clear_thinking: false}.",
        " d: When enable_thinking is false or the level is none: it thinks nevertheless, at max. Workaround:",
    ):
        assert line in short
    assert "parser/glm47_moe.py" not in short
    assert "parser/glm47_moe.py" in CliRunner().invoke(main, ["check", "--sources", str(config)]).output


def test_families_lists_the_table() -> None:
    def listed(*options: str) -> list[list[str]]:
        """The words of each line that begins a row."""
        lines = CliRunner().invoke(main, ["families", *options]).output.splitlines()
        return [line.split() for line in lines if not line.startswith(" ")]

    assert [words[0] for words in listed()] == [*table.shipped().names()]
    assert {words[1] for words in listed("--engine", "hosted")} == {"hosted"}


def test_families_says_all_of_one(tmp_path: Path) -> None:
    told = unwrapped(CliRunner().invoke(main, ["families", "qwen3", "--engine", "sglang"]).output)
    assert told.startswith("qwen3 (sglang), hybrid")
    assert "Budget: in custom_params.thinking_budget, any number of tokens. [SGLang 0.5.23:" in told
    cells = json.loads(CliRunner().invoke(main, ["families", "qwen3", "--json"]).output)
    assert [(row["name"], row["engine"], row["history"]) for row in cells] == [("qwen3", "vllm", "tools")]
    config = tmp_path / "thinkgate.toml"
    config.write_text(
        'families.mine = {base = "qwen3", about = "ours"}\n'
        'deployments.d = {url = "http://x", family = "mine"}\nmodels.m = {deployment = "d"}\n',
        "utf-8",
    )
    assert (
        CliRunner().invoke(main, ["families", "mine", "--config", str(config)]).output.startswith("mine (vllm), ours.")
    )


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["qwen33"], "thinkgate: family 'qwen33' is unknown. Did you mean 'qwen3'?"),
        (["openai", "--engine", "vllm"], "thinkgate: engine: vllm does not serve family openai, but hosted"),
        (["--engine", "vlm"], "thinkgate: engine 'vlm' is unknown. Did you mean 'vllm'?"),
    ],
)
def test_families_says_what_it_does_not_know(arguments: list[str], fault: str) -> None:
    done = CliRunner().invoke(main, ["families", *arguments])
    assert (done.exit_code, done.stderr.strip()) == (1, fault)
