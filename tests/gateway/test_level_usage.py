"""Levels that are not what they are called: found by what answers take, told, and priced as what they are."""

from __future__ import annotations

import json
import logging
import math
import random
from pathlib import Path
from typing import Any

import pytest

from gateway.backends.level_usage.sample import Answered, Stratum, stratum_of
from gateway.backends.level_usage.token_histogram import TokenHistogram
from gateway.backends.level_usage.usage import MOST_LEVELS, LevelUsage
from gateway.core.arm import Arm
from gateway.core.deployment import Deployment
from gateway.core.efforts import NO_THINKING, Effort
from gateway.core.forecast import EffortForecast, Forecast
from gateway.families import table as families
from tests.gateway.command_line import invoke
from tests.gateway.conftest import Start
from tests.gateway.running import RunningGateway
from tests.gateway.scripted import ANSWER, Connection, ScriptedBackend
from tests.patience import until

LOW, HIGH = Effort(True, 1024), Effort(True, 4096)
DECIDED = {"none": "none", "low": "1024", "high": "4096"}
EASY, HARD = Stratum("forecast", 4, 2), Stratum("forecast", 1, 2)


class Told:
    def __init__(self) -> None:
        self.all: list[tuple[str, bool]] = []
        self.usage = LevelUsage(lambda deployment, what, does: self.all.append((what, does)))

    def answers(self, level: str, tokens: list[int], stratum: Stratum = HARD, thinking: int | None = None) -> None:
        for each in tokens:
            answered = Answered(each, thinking, False)
            self.usage.observe("d", DECIDED.get(level, level), level, answered, stratum)


def tokens(rng: random.Random, middle: float, n: int) -> list[int]:
    return [round(math.exp(rng.gauss(math.log(middle), 0.5))) for _ in range(n)]


def alternately(told: Told, seed: int, n: int, **middles: float) -> None:
    rng = random.Random(seed)
    for _ in range(n):
        for level, middle in middles.items():
            told.answers(level, tokens(rng, middle, 1))


def test_a_level_that_changes_nothing_is_found_and_one_that_does_is_not() -> None:
    for seed in range(5):
        same, other = Told(), Told()
        alternately(same, seed, 900, low=1500, high=1500)
        assert same.all == [("high changes nothing over low", True)]
        alternately(other, seed, 900, low=1500, high=1500 * 1.25)
        assert other.all == [], "a quarter more is something"


def test_easy_requests_for_the_weaker_level_hide_nothing() -> None:
    """The policy sends easy requests to `low` and hard ones to `high`: only alike ones are compared."""
    told, rng = Told(), random.Random(1)
    for _ in range(1500):
        for stratum, middle, low_share in ((EASY, 300, 0.8), (HARD, 3000, 0.2)):
            told.answers("low" if rng.random() < low_share else "high", tokens(rng, middle, 1), stratum)
    assert told.all == [("high changes nothing over low", True)]


def test_a_level_that_matters_for_hard_requests_only_is_one() -> None:
    told, rng = Told(), random.Random(2)
    for n in range(1200):
        stratum = EASY if n % 3 else HARD
        for level in ("low", "high"):
            told.answers(level, tokens(rng, 300 if stratum == EASY or level == "low" else 1200, 1), stratum)
    assert told.all == []


def test_no_thinking_that_thinks() -> None:
    reported, hidden, honest = Told(), Told(), Told()
    reported.answers("none", [1474] * 50, thinking=1400)
    assert reported.all == [("none still thinks", True)]
    alternately(hidden, 3, 400, none=1400, low=550, high=2700)
    assert hidden.all == [("none still thinks", True)], "it takes more than a level that thinks"
    alternately(honest, 3, 400, none=200, low=550, high=2700)
    honest.answers("none", [30] * 200, thinking=0)
    assert honest.all == []


def test_answers_cut_at_a_limit_prove_nothing() -> None:
    told = Told()
    for _ in range(300):
        for level in ("low", "high"):
            told.usage.observe("d", DECIDED[level], level, Answered(100, None, True), HARD)
    assert told.all == []


def test_what_works_again_is_told_again() -> None:
    told = Told()
    alternately(told, 4, 600, low=1500, high=1500)
    assert told.all == [("high changes nothing over low", True)]
    alternately(told, 5, 3000, low=1500, high=6000)
    assert told.all[1:] == [("high changes nothing over low", False)] and not told.usage.findings()


def test_forecasts_become_what_was_measured() -> None:
    told = Told()
    alternately(told, 6, 600, low=1500, high=1500)
    served = Deployment("d", ("http://x/v1",), "m", families.shipped().family("openai-gpt-5.2", None))
    arm = Arm.of("a", served, served, (NO_THINKING, LOW, HIGH))
    none = EffortForecast(NO_THINKING, 0.3, 0.0, 50.0, 1.0)
    low, high = EffortForecast(LOW, 0.6, 500.0, 50.0, 5.0), EffortForecast(HIGH, 0.9, 4000.0, 50.0, 40.0)
    forecast = Forecast("r", (none, low, high))
    priced = told.usage.priced(arm, forecast, HARD)
    assert priced.efforts[:2] == (none, low)
    found = priced.efforts[2]
    assert found.p_correct == 0.6 and 1400 < found.tokens < 2000 and found.seconds < 40
    assert told.usage.priced(arm, forecast, EASY) == forecast, "nothing was measured there"
    thinks = Told()
    thinks.answers("none", [1474] * 50, thinking=1400)
    priced = thinks.usage.priced(arm, forecast, EASY)
    assert priced.efforts[0].tokens == pytest.approx(1474) and priced.efforts[1:] == (low, high)


def test_memory_is_bounded() -> None:
    told = Told()
    for n in range(1, 200):
        told.answers(str(n), [5])
        told.usage.observe("d", str(n), str(n + 1), Answered(5, None, False), HARD)
    assert len(told.usage.samples()["d"]) == MOST_LEVELS
    for n in range(5000):
        stratum = stratum_of(EffortForecast(LOW, n % 100 / 100, 1.0, 4.0 ** (n % 30), 1.0), 3)
        told.answers("1", [n], stratum)
    assert len(told.usage.samples()["d"]["1"].strata) <= 5 * 9 + 1


def test_quantiles_of_tokens() -> None:
    counts = TokenHistogram()
    assert counts.quantile(0.5) is None
    for n in range(1, 10_001):
        counts.add(n)
    for share in (0.1, 0.5, 0.9):
        assert counts.quantile(share) == pytest.approx(share * 10_000, rel=0.25)
    counts.add(10**9)
    assert counts.quantile(1.0) >= 500_000 and TokenHistogram().total == 0


def settings(url: str) -> dict[str, Any]:
    policy = {"kind": "dial", "budgets": [1024, 4096], "dial": 0.35}
    served = {"url": url, "model": "backend-model", "family": "openai-gpt-5.2", "verify": False}
    return {
        "deployments": {"hosted": served},
        "models": {"auto": {"deployment": "hosted", "router": "constant", "policy": policy}},
    }


CONFIG = """
[records]
path = "{path}"
[deployments.hosted]
url = "{url}"
family = "openai-gpt-5.2"
[models.auto]
deployment = "hosted"
router = "constant"
policy = {{ kind = "dial" }}
"""


async def thinks_always(connection: Connection) -> None:
    """As GPT-5 nano does: `none` is accepted, and takes more than `low`."""
    level = connection.request.body.get("reasoning_effort")
    thought = {"none": 1400, "low": 500}.get(level, 3000)
    details = {"reasoning_tokens": thought}
    usage = {"prompt_tokens": 7, "completion_tokens": thought + 50, "completion_tokens_details": details}
    await connection.answer(200, json.dumps({**ANSWER, "usage": usage}).encode())


def test_the_policy_stops_choosing_none_where_it_thinks(
    backend: ScriptedBackend, start: Start, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    backend.script = thinks_always
    gateway: RunningGateway = start(settings(backend.url))
    asked = {"model": "auto", "messages": [{"role": "user", "content": "hi"}]}
    first = gateway.post(asked)
    assert first.headers["x-thinkgate-effort"] == "none", first.headers
    with caplog.at_level(logging.WARNING, "thinkgate"):
        for _ in range(49):
            gateway.post(asked)
    assert caplog.text.count("deployment hosted: none still thinks") == 1
    assert gateway.post(asked).headers["x-thinkgate-effort"] == "low", "it is cheaper, and as forecast, better"
    told = 'thinkgate_family_disagreements{deployment="hosted",what="none still thinks"} 1.0'
    assert told in gateway.get("/metrics").text
    last = gateway.records()[-1]
    rows = json.loads(last["forecast"])
    assert rows[0][0] == "none" and rows[0][2] == pytest.approx(1400), "the record has what was decided by"
    config = tmp_path / "levels.toml"
    config.write_text(CONFIG.format(url=backend.url, path=gateway.database))
    found = json.loads(invoke("report", "--config", config, "--levels", "--json", cwd=tmp_path).stdout)
    levels = {row["level"]: row for row in found["levels"]}
    assert (levels["none"]["answers"], levels["none"]["finding"]) == (50, "none still thinks")
    assert levels["none"]["reasoned"] == 1.0 and levels["low"]["finding"] is None
    shown = invoke("report", "--config", config, "--levels", cwd=tmp_path).stdout
    assert "Careful: hosted: none still thinks, by the tokens that its answers take." in shown
    again = start(settings(backend.url))
    until(lambda: told in again.get("/metrics").text)
    assert again.post(asked).headers["x-thinkgate-effort"] == "low", "records say so from the start"
