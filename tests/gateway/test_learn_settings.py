"""The table `[learn]`: what is left out, what is refused, and what a worker gets of it."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.config.learn import LearnSettings
from gateway.config.settings import parse, share
from gateway.core.errors import ConfigError
from tests.gateway.conftest import table

FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"shadow": 1.5}, "learn.shadow: input should be less than or equal to 1"),
    ({"shadow_tokens": -1}, "learn.shadow_tokens: input should be greater than or equal to 0"),
    ({"shadow_usd": float("nan")}, "learn.shadow_usd: input should be a finite number"),
    ({"same_effort": 2}, "learn.same_effort: input should be less than or equal to 1"),
    ({"judge": "hybird"}, "learn.judge: 'hybird' is no deployment or model. Did you mean 'hybrid'?"),
    ({"text": "yes"}, "learn.text: input should be a valid boolean"),
    ({"shadows": 0.02}, "learn.shadows: unknown key. Did you mean 'shadow'?"),
]


def test_nothing_is_answered_again_unless_the_operator_says_so() -> None:
    assert parse(table("http://127.0.0.1:9")).learn == LearnSettings(shadow=0.0)


def test_settings_that_cannot_be_are_refused_with_the_reason() -> None:
    for given, fault in FAULTS:
        with pytest.raises(ConfigError) as caught:
            parse({**table("http://127.0.0.1:9"), "learn": given})
        assert any(fault in line for line in caught.value.faults), caught.value.faults


def test_workers_share_the_caps_and_divide_what_runs_at_once() -> None:
    given = {"shadow": 0.02, "shadow_running": 5, "judge": "hybrid"}
    learn = share(parse({**table("http://127.0.0.1:9"), "learn": given}), 4).learn
    assert (learn.shadow, learn.shadow_running, learn.shadow_tokens, learn.shadow_usd) == (0.02, 2, 1_000_000.0, 5.0)
