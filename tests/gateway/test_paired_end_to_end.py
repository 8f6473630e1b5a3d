"""Paired arms with real models, end to end over HTTP: a third of the requests give as narrow an interval.

Verifiers score the answers of all arms by themselves. Each arm answers the whole pool, too, so the truth is known.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gateway.config.defaults import embedded_settings
from gateway.core.experiment_row import ExperimentRow
from gateway.core.record_query import RecordQuery
from gateway.routing.experiments.evidence import evidence
from gateway.storage.archive import DatabaseArchive
from gateway.storage.sqlite import SqliteDatabase
from router_model.tasks import Prompt, generate
from tests.gateway.running import RunningGateway
from tests.patience import until

ARMS: dict[str, dict[str, Any]] = {
    "merged": {"deployment": "tiny"},
    "split": {"none": "tiny-instruct", "think": "tiny-thinking"},
}
# Their answers are numbers.
FAMILIES = ("mul", "add", "chain")
AT_ONCE = 4


@pytest.fixture
def chosen(engine: str, tmp_path: Path) -> dict[str, Any]:
    table = embedded_settings(engine, tmp_path / "records.db").model_dump(mode="json", exclude_none=True)
    usual = {
        "policy": {"kind": "client", "default_effort": "medium"},
        "answer_allowance": 64,
        "levels": table["models"]["tiny"]["levels"],
        "verify": [{"kind": "numeric"}],
        "router": "tiny",
    }
    tried = {"model": "tried", "arms": ARMS, "adjust": True, "paired": {"share": 1, "max_running": 1000}}
    return {
        "records": {"path": str(tmp_path / "records.db")},
        "responses": {"store": False},
        "deployments": table["deployments"],
        "models": {"tried": {**usual, "deployment": "tiny"}, **{name: {**usual, **arm} for name, arm in ARMS.items()}},
        "experiments": {"modes": tried},
    }


async def ask_all(gateway: RunningGateway, pool: Sequence[Prompt], requests: int) -> None:
    """Every arm answers the pool; then so many users send prompts drawn from it to the experiment."""
    limit, rng = asyncio.Semaphore(AT_ONCE), random.Random(12)
    async with gateway.async_sdk() as client:

        async def one(model: str, prompt: Prompt, user: str) -> None:
            extra: dict[str, Any] = {"thinkgate": {"expected": prompt.answer}}
            async with limit:
                await client.chat.completions.create(
                    model=model,
                    messages=prompt.messages,  # type: ignore[arg-type]
                    temperature=0,
                    user=user,
                    extra_body=extra,
                )

        await asyncio.gather(*(one(arm, prompt, "all") for prompt in pool for arm in ARMS))
        drawn = [rng.choice(pool) for _ in range(requests)]
        await asyncio.gather(*(one("tried", prompt, f"u{n}") for n, prompt in enumerate(drawn)))


def scored(database: Path) -> int:
    with closing(sqlite3.connect(database)) as opened:
        try:
            return int(opened.execute("SELECT count(*) FROM outcomes WHERE metric = 'outcome'").fetchone()[0])
        except sqlite3.OperationalError:
            return 0  # no table yet


def width(found: dict[str, Any]) -> float:
    """Of the interval of the first metric, which is the outcome."""
    low, high = found["differences"][0]["ci"]
    return float(high - low)


@pytest.mark.long
def test_pairs_need_a_third_of_the_requests(chosen: dict[str, Any], tmp_path: Path) -> None:
    prompts, requests = 40, 360
    pool = list(generate(5, prompts, families=FAMILIES))
    with RunningGateway(chosen, tmp_path) as gateway:
        asyncio.run(ask_all(gateway, pool, requests))
        until(lambda: not gateway.parts.ledgers.paired.running)
        until(lambda: scored(gateway.database) == 2 * (prompts + requests))
        (experiment,) = gateway.parts.experiments
        events = gateway.parts.experiments.journal.events()
        skips = gateway.parts.metrics.paired.skips.collect()[0].samples
    assert not skips, "with a place for everybody, every request is answered by both arms"
    archive = DatabaseArchive(SqliteDatabase(gateway.database), tmp_path / "spool")
    truth = {arm: archive.totals(RecordQuery(model=arm), [])[0].outcome.mean or 0.0 for arm in ARMS}
    rows = [*archive.of_experiment("modes")]
    sent = [row for row in rows if row.paired_with is None]
    assert len(sent) == requests and len(rows) == 2 * requests

    def report(those: Sequence[ExperimentRow]) -> dict[str, Any]:
        return evidence(experiment, events, those).report("modes")

    third = {row.id for row in sent[: requests // 3]}
    paired, apart = report(rows), report(sent)
    plain = report([row._replace(baseline=None) for row in sent])
    few = report([row for row in rows if row.id in third or row.paired_with in third])
    for found in (paired, apart, plain, few):
        low, high = found["differences"][0]["ci"]
        assert low <= truth["split"] - truth["merged"] <= high
    assert paired["srm_p"] == apart["srm_p"] > 0.01 and paired["arms"] == apart["arms"]
    removed = apart["differences"][0]["variance_removed"]
    print(
        f"truly {truth['split'] - truth['merged']:+.3f}; width {width(few):.3f} of {requests // 3} requests in pairs,"
    )
    print(f"{width(plain):.3f} of {requests} apart, {width(paired):.3f} of {requests} in pairs")
    print(
        f"a forecast of the default arm removes {removed:.0%} of the variance: {width(apart):.3f} of {requests} apart"
    )
    assert width(few) <= width(plain) and width(apart) <= width(plain) and removed > 0.1
