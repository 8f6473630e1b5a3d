"""The configuration: what it says in words, and what is said of its faults."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway.commands.check import explain
from gateway.config.settings import load, override, parse
from gateway.core.errors import ConfigError
from tests.gateway.command_line import invoke
from tests.patience import PATIENCE_S

CONFIG = """
[deployments.hybrid]
url = "http://gpu-1:8000/v1"
model = "Qwen/Qwen3-8B"
family = "qwen3"

[deployments.instruct]
url = ["http://gpu-2:8000", "http://gpu-3:8000"]
first_token_timeout_s = 30
total_timeout_s = 900
family = "qwen3-2507"
fallback = "thinking"

[deployments.thinking]
url = "http://gpu-4:8000/v1/"
family = "qwen3-2507"
max_in_flight = 64
max_queue = 8

[deployments.third]
url = "http://gpu-5:8000"
family = "qwen3-2507"
fallback = ["instruct"]

[models.merged]
deployment = "hybrid"
router = "constant"
policy = { kind = "dial", dial = 0.3, budgets = [512], ceiling = "high", default_effort = "low" }

[models.split]
none = "instruct"
think = "thinking"
max_answer_tokens = 2000
policy = { kind = "client", floor = "none", ceiling = "medium" }

[models.tried]
policy = { kind = "fixed", effort = "high" }
arms.one = { deployment = "hybrid", weight = 1 }
arms.two = { none = "instruct", think = "thinking", weight = 3 }
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "thinkgate.toml"
    path.write_text(CONFIG, "utf-8")
    return path


def run(*arguments: str | Path, cwd: Path, input: str | None = None) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).parents[2]
    command = [sys.executable, "-W", "error", "-m", "gateway.cli", *map(str, arguments)]
    return subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(root)},
        input=input,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )


def test_check_says_in_words_what_will_happen(config: Path) -> None:
    done = run("check", config, cwd=config.parent)
    assert (done.returncode, done.stderr) == (0, "")
    for line in (
        "Deployment hybrid: model 'Qwen/Qwen3-8B' at http://gpu-1:8000/v1.",
        "Deployment instruct: model 'instruct' at http://gpu-2:8000/v1, http://gpu-3:8000/v1.",
        "Time limits: 5 s to connect, 600 s for any piece of an answer, 3600 s in all.",
        "5 s to connect, 30 s for the first piece of a stream, 600 s for any piece of an answer, 900 s in all.",
        "It is verified against its family, on start and on change",
        "Of its 2 replicas, 1 more are tried when one fails.",
        "Takes requests of up to 33554432 bytes, 10000 messages and 64 levels of JSON.",
        "Stores up to 10000 responses, 268435456 bytes, until 30 days after their last use, in clear text in",
        "When it is stopped, running answers have 110 s to finish.",
        "At most 64 requests at once; 8 more wait, for up to 30 s. Batch requests have 80% of the places",
        "Its fallback, when it cannot answer: instruct, then thinking.",
        "merged: deployment hybrid serves every effort.",
        "none: to hybrid with chat_template_kwargs {enable_thinking: false}",
        "512: to hybrid with chat_template_kwargs {enable_thinking: true} and thinking_token_budget 512",
        "split: instruct answers without thinking, thinking thinks.",
        "none: to instruct as it is",
        "2048: to thinking with thinking_token_budget 2048",
        "the client decides, never below none nor above medium; none if it does not say.",
        "the router decides at dial 0.3 (0 cheapest, 1 best; clients may move it within 0 and 1)",
        "every request gets high, whatever the client asks.",
        "Arm two (75% of units): split",
        "256 of it are reserved for the answer.",
        "an answer may take 2000 tokens beside its thinking budget.",
    ):
        assert line in " ".join(done.stdout.split())
    assert done.stdout.startswith("OK: 4 deployments and 3 models can be served.\n"), "the verdict comes first"
    assert [
        line for line in done.stdout.splitlines() if len(line) > 80 and "http" not in line and "/" not in line
    ] == []


FAULTS: list[tuple[str, str, str]] = [
    ("[models.merged]", "[model.merged]", "model: unknown key. Did you mean 'models'?"),
    ('url = "http://gpu-1', 'ulr = "http://gpu-1', "deployments.hybrid.ulr: unknown key. Did you mean 'url'?"),
    ("dial = 0.3", "dail = 0.3", "models.merged.policy.dail: unknown key. Did you mean 'dial'?"),
    ("dial = 0.3", "dial = 3", "models.merged.policy.dial: input should be less than or equal to 1"),
    ('kind = "dial"', 'kind = "dail"', "models.merged.policy.kind: 'dail' is unknown. Did you mean 'dial'?"),
    ('kind = "dial", ', "", "models.merged.policy.kind: is required, one of fixed, client, dial"),
    ("weight = 3", "wieght = 3", "models.tried.arms.two.wieght: unknown key. Did you mean 'weight'?"),
    ('family = "qwen3"', 'family = "qwen33"', "deployments.hybrid.family: 'qwen33' is unknown. Did you mean 'qwen3'?"),
    ("http://gpu-1:8000", "gpu-1:8000", "deployments.hybrid.url: 'gpu-1:8000/v1' is not an http or https URL"),
    (
        "http://gpu-1:8000",
        "http://gpu-1:80000",
        "deployments.hybrid.url: 'http://gpu-1:80000/v1' is not an http or https",
    ),
    (
        "http://gpu-1:8000/v1",
        "http://gpu-1/v1?key=k",
        "deployments.hybrid.url: 'http://gpu-1/v1?key=k' is not a",
    ),
    (
        "http://gpu-1:8000/v1",
        "http://gpu-1:8000/v1/chat/completions",
        "deployments.hybrid.url: 'http://gpu-1:8000/v1/chat/completions' ends in /chat/completions, which the gateway",
    ),
    (
        "http://gpu-1:8000/v1",
        "http://gpu-1:8000/v1/messages/",
        "ends in /messages, which the gateway adds: 'http://gpu",
    ),
    ('router = "constant"', 'router = "no/such/router"', "models.merged.router: "),
    (
        'deployment = "hybrid"\nrouter',
        'deployment = "hybird"\nrouter',
        "models.merged.deployment 'hybird' is not among [deployments]. Did you mean 'hybrid'?",
    ),
    (
        'deployment = "hybrid"\nrouter',
        'deployment = "thinking"\nrouter',
        "models.merged.deployment: family qwen3-2507 has no thinking switch: set `none` and `think` instead",
    ),
    ('effort = "high"', 'effort = "hihg"', "models.tried.policy: 'hihg' is not an effort. Did you mean 'high'?"),
    ('none = "instruct"\nthink = "thinking"\n', "", "models.split: set `deployment` (merged), `none` and `think`"),
    ('family = "qwen3"\n', "", "deployments.hybrid.family: is required"),
    ('fallback = "thinking"', 'fallback = "thinkin"', "deployments.instruct.deployment 'thinkin' is not among"),
    (
        'fallback = "thinking"',
        'fallback = "third"',
        "instruct.fallback: instruct → third → instruct is a cycle",
    ),
    (
        'family = "qwen3"',
        'family = "qwen3"\nfallback = "instruct"',
        "deployments.hybrid.fallback: instruct cannot be a fallback: its family qwen3-2507 has no thinking switch",
    ),
    ("[models.merged]", "[models.merged", "not valid TOML"),
]


@pytest.mark.parametrize(("right", "wrong", "fault"), FAULTS)
def test_each_fault_is_one_clear_line(config: Path, right: str, wrong: str, fault: str) -> None:
    assert right in CONFIG
    config.write_text(CONFIG.replace(right, wrong, 1), "utf-8")
    with pytest.raises(ConfigError) as caught:
        list(explain(load(config)))
    assert len(caught.value.faults) == 1
    assert fault in caught.value.faults[0] and "\n" not in caught.value.faults[0]


def test_all_faults_are_told_at_once_and_exit_is_1(config: Path) -> None:
    config.write_text(CONFIG.replace("url = ", "ulr = ", 1).replace("weight = 3", "weight = -3"), "utf-8")
    done = invoke("check", config, cwd=config.parent)
    lines = done.stderr.splitlines()
    assert done.returncode == 1 and done.stdout == ""
    assert [line.split(":")[1].strip() for line in lines] == [
        "deployments.hybrid.ulr",
        "models.tried.arms.two.weight",
    ]
    assert all(line.startswith("thinkgate: ") for line in lines)
    assert invoke("serve", "--config", config, cwd=config.parent).stderr == done.stderr


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    done = invoke("check", tmp_path / "none.toml", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == f"thinkgate: {tmp_path / 'none.toml'}: No such file or directory\n"


def test_an_arm_of_one_deployment_offers_only_its_efforts() -> None:
    model: dict[str, Any] = {"none": "d", "policy": {"kind": "client", "default_effort": "none"}}
    table = {"deployments": {"d": {"url": "http://x", "family": "qwen3-2507"}}, "models": {"m": model}}
    assert "split: d answers without thinking, nothing thinks." in "\n".join(explain(parse(table)))
    model["policy"] = {"kind": "fixed", "effort": "high"}
    with pytest.raises(ConfigError, match="it has no deployment for any of the efforts"):
        list(explain(parse(table)))


def test_a_key_that_is_not_in_the_environment_is_said() -> None:
    deployment = {"url": "http://x", "family": "qwen3", "api_key_env": "THINKGATE_TEST_NO_SUCH_KEY"}
    table = {"deployments": {"d": deployment}, "models": {"m": {"deployment": "d"}}}
    with pytest.raises(ConfigError, match=r"deployments\.d\.api_key_env: the environment variable THINKGATE_TEST_NO"):
        list(explain(parse(table)))


def test_the_command_line_overrides_the_file(config: Path) -> None:
    chosen = override(load(config), host="0.0.0.0", port=9, records=Path("x.db"))
    assert (chosen.server.host, chosen.server.port, chosen.records.path) == ("0.0.0.0", 9, Path("x.db"))
    assert override(chosen) == chosen


def test_what_is_hardly_meant_is_warned_of(config: Path) -> None:
    config.write_text(CONFIG.replace("max_answer_tokens = 2000", 'router = "tiny"'), "utf-8")
    said = list(explain(load(config)))
    assert said[0] == "OK: 4 deployments and 3 models can be served, with 1 warning."
    assert said[1] == "  WARNING: models.split.router: a client policy does not use a router; a dial policy does."
    config.write_text(CONFIG.replace('router = "constant"', 'router = "tiny"'), "utf-8")
    assert list(explain(load(config)))[1].startswith("  WARNING: models.merged.router: it has no data about some dep")
