"""Prompt tokens out of a cache have a price of their own, in records and in what a key has spent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.core.serving_limits import Pricing
from tests.gateway.keyed import Clock, KeyedGateway
from tests.gateway.scripted import ANSWER, Connection, ScriptedBackend
from tests.gateway.test_decide import body
from tests.gateway.test_exploration import table
from tests.gateway.test_quotas import used

PRICES = {"input_price": 10.0, "output_price": 0.0, "cached_input_price": 1.0}
USAGE = {"prompt_tokens": 100, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 64}}
DOLLARS = (36 * 10 + 64 * 1) / 1e6


async def cached(connection: Connection) -> None:
    await connection.answer(200, json.dumps({**ANSWER, "usage": USAGE}).encode())


def test_cached_tokens_cost_their_own_price(backend: ScriptedBackend, tmp_path: Path) -> None:
    backend.script = cached
    given = table(backend.url, probe="never")
    given["deployments"]["merged"] |= PRICES
    with KeyedGateway(given, tmp_path, Clock()) as gateway:
        secret = gateway.key(dollars_per_day=1.0)
        answer = gateway.post(body("pub:none", "hi"), headers={"authorization": f"Bearer {secret}"})
        assert answer.status_code == 200
        assert used(gateway, secret).all_dollars == pytest.approx(DOLLARS)
        (row,) = gateway.records()
    assert (row["cached_tokens"], row["cost"]) == (64, pytest.approx(DOLLARS))


def test_without_a_price_of_their_own_they_cost_what_others_do() -> None:
    assert Pricing(input_price=10.0).cost(100, 0, 64) == Pricing(input_price=10.0).cost(100, 0)
    assert Pricing(**PRICES).cost(100, 0, 200) == pytest.approx(100e-6), "no more are cached than there are"
