"""Merged against split with real models, end to end over HTTP: what a report says contains what is true.

Both arms answer every prompt of a pool, so the truth is known; then units come with prompts drawn from it.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import openai
import pytest
from click.testing import CliRunner

from gateway.cli import main
from gateway.config.defaults import embedded_settings
from router_model.tasks import Prompt, generate, verify
from tests.gateway.experimenting import as_toml
from tests.gateway.running import RunningGateway
from tests.patience import until

ARMS = {
    "merged": {"deployment": "tiny"},
    "split": {"none": "tiny-instruct", "think": "tiny-thinking"},
    "hasty": {"deployment": "tiny", "policy": {"kind": "fixed", "effort": "none"}},
}
AT_ONCE = 24
# With it the sample ratio is an ordinary one wherever the guardrail stops the arm: when it does depends on the machine.
SALT = "modes-18"
# Of which thinking makes most difference.
FAMILIES = ("boolean", "walk", "dial", "mul", "chain", "add")


@pytest.fixture
def chosen(engine: str, tmp_path: Path) -> dict[str, Any]:
    table = embedded_settings(engine, tmp_path / "records.db").model_dump(mode="json", exclude_none=True)
    client = {"policy": {"kind": "client", "default_effort": "medium"}, "answer_allowance": 64}
    levels = {"levels": table["models"]["tiny"]["levels"]}
    alone = {name: {**client, **levels, **arm} for name, arm in ARMS.items()}
    return {
        "records": {"path": str(tmp_path / "records.db")},
        "responses": {"store": False},
        "feedback": {"max_per_minute": 100_000},
        "deployments": table["deployments"],
        "models": {"tried": {**client, **levels, "deployment": "tiny"}, **alone},
        "experiments": {"modes": {"model": "tried", "arms": ARMS, "guardrails": {"outcome": 0.1}, "salt": SALT}},
    }


async def ask(client: openai.AsyncOpenAI, model: str, prompt: Prompt, user: str) -> tuple[str, str, float]:
    """The arm, the id that feedback names, and the score."""
    extra: dict[str, Any] = {"tools": prompt.tools} if prompt.tools else {}
    raw = await client.chat.completions.with_raw_response.create(
        model=model,
        messages=prompt.messages,
        temperature=0,
        user=user,
        **extra,  # type: ignore[arg-type]
    )
    message = raw.parse().choices[0].message
    score = verify(prompt, message.content, message.tool_calls)
    return raw.headers["x-thinkgate-arm"], raw.headers["x-thinkgate-id"], score


async def everything(gateway: RunningGateway, pool: Sequence[Prompt], units: int) -> tuple[dict[str, float], list[str]]:
    """Every arm's mean score over the pool, and the arms of so many units; the gateway learns what became of each."""
    limit, rng = asyncio.Semaphore(AT_ONCE), random.Random(11)
    async with gateway.async_sdk() as client, gateway.async_http() as http:

        async def one(model: str, prompt: Prompt, user: str) -> tuple[str, float]:
            async with limit:
                arm, id, score = await ask(client, model, prompt, user)
                told = await http.post("/v1/feedback", json={"id": id, "score": score})
                assert told.status_code in (200, 202), told.text
                return arm, score

        truth = {}
        for arm in ARMS:
            scores = [score for _, score in await asyncio.gather(*(one(arm, prompt, "all") for prompt in pool))]
            truth[arm] = sum(scores) / len(pool)
        drawn = [rng.choice(pool) for _ in range(units)]
        seen = await asyncio.gather(*(one("tried", prompt, f"u{n}") for n, prompt in enumerate(drawn)))
    return truth, [arm for arm, _ in seen]


def compare(chosen: dict[str, Any], folder: Path, prompts: int, units: int) -> Iterator[str]:
    """What was found, in lines; asserts that it is true."""
    pool = list(generate(5, prompts, families=FAMILIES))
    with RunningGateway(chosen, folder) as gateway:
        truth, arms = asyncio.run(everything(gateway, pool, units))
        (experiment,) = gateway.parts.experiments
        assert truth["hasty"] < truth["merged"] - 0.25, truth
        until(lambda: gateway.parts.experiments.state(experiment).stopped == {"hasty"})
    config, file = folder / "thinkgate.toml", folder / "report.json"
    config.write_text(as_toml(chosen), "utf-8")
    done = CliRunner().invoke(main, ["experiment", "report", "modes", "--config", str(config), "--json", str(file)])
    assert done.exit_code == 0, done.output
    found = json.loads(file.read_text("utf-8"))
    assert found["srm_p"] > 0.01
    assert [arm["name"] for arm in found["arms"]] == [*ARMS]
    for arm in found["arms"]:
        low, high = arm["metrics"]["outcome"]["ci"]
        assert low <= truth[arm["name"]] <= high
        # Units that came while the guardrail stopped an arm are left out: more of them where the machine is fast.
        assert 0.5 * arms.count(arm["name"]) <= arm["units"] <= arms.count(arm["name"])
    for one in found["differences"]:
        if one["metric"] == "outcome":
            true = truth[one["arm"]] - truth["merged"]
            assert one["ci"][0] <= true <= one["ci"][1]
            assert one["verdict"] == "undecided" or (one["verdict"] == "better") == (true > 0)
            yield f"{one['arm']}: {one['estimate']:+.3f} [{one['ci'][0]:+.3f}, {one['ci'][1]:+.3f}], truly {true:+.3f}"
    yield f"srm_p {found['srm_p']:.3f}; {done.output.splitlines()[0]}"


def test_the_report_contains_the_truth(chosen: dict[str, Any], tmp_path: Path) -> None:
    assert len([*compare(chosen, tmp_path, prompts=18, units=210)]) == 3


@pytest.mark.long
def test_over_thousands_of_requests(chosen: dict[str, Any], tmp_path: Path) -> None:
    for line in compare(chosen, tmp_path, prompts=60, units=2000):
        print(line)
