"""What a request gets of which nothing is known."""

from __future__ import annotations

from typing import Any

import pytest

from gateway import assembly
from gateway.backends.latency import latency_models_of
from gateway.config.settings import parse
from gateway.core.call import Call
from gateway.core.efforts import NO_THINKING, UNLIMITED, Effort, words
from gateway.core.errors import ConfigError

CALL = Call("r", "chat", "m", {})


def default_of(**policy: Any) -> str:
    settings: dict[str, Any] = {
        "deployments": {"d": {"url": "http://localhost:1", "family": "qwen3", "verify": False}},
        "models": {"m": {"deployment": "d", "router": "prior", "policy": policy}},
    }
    chosen = parse(settings)
    deployments = assembly.deployments(chosen)
    model = assembly.catalogue(chosen, deployments, latency_models_of(deployments.values())).find("m")
    return words(model.policy.decide(CALL, None).effort)


def test_a_dial_gives_strange_requests_the_middle_one_of_its_budgets() -> None:
    for wanted, more in (
        ("4096", {}),
        ("32", {"budgets": [256, 8, 16, 128, 64, 32]}),
        ("1024", {"ceiling": "high"}),
        ("16384", {"floor": "high", "budgets": [512, 16384]}),
        ("4096", {"floor": "high", "budgets": [512]}),
        ("1024", {"ceiling": "low", "budgets": [2048]}),
        ("none", {"ceiling": "none"}),
        ("2048", {"default_effort": "medium"}),
        ("unlimited", {"default_effort": "max"}),
    ):
        assert default_of(kind="dial", **more) == wanted, more


def test_a_default_outside_of_the_bounds_is_refused() -> None:
    with pytest.raises(ConfigError, match="default_effort"):
        default_of(kind="dial", default_effort="high", ceiling="low")


def test_others_say_what_they_give() -> None:
    assert default_of(kind="client") == words(NO_THINKING)
    assert default_of(kind="fixed", effort="low") == words(Effort(True, 1024))
    assert default_of(kind="contract", max_regret=0.2, if_impossible="full_effort") == words(UNLIMITED)
