"""A gateway's decisions, records and learning on answers that are known already: traffic of an hour in a second.

Deciding, sharing units out, storing and learning are the gateway's own; only the backend and the clock are not there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from gateway.assembly.decider import idle_decider
from gateway.assembly.served_versions import with_versions
from gateway.auth.principal import Principal
from gateway.commands.learning_model import learning_models
from gateway.config.settings import Settings, parse
from gateway.core.call import Call
from gateway.core.efforts import NO_THINKING, UNLIMITED, Effort, words
from gateway.core.outcome_row import OutcomeRow
from gateway.core.record import Record
from gateway.routing.decider import Decider
from gateway.storage import rows
from gateway.storage.router_versions import RouterVersions
from gateway.storage.sqlite import SqliteDatabase
from loadtests.learning.both_ends import BothEnds, EndAnswer

MODEL, DEPLOYMENT = "pub", "tiny"
# Seconds between two requests.
EVERY_S = 10.0


class Served(NamedTuple):
    """What one request brought its client."""

    right: float
    tokens: int
    router: str


class Report(NamedTuple):
    """An outcome of an answer, by whom."""

    source: str
    score: float
    metric: str = "outcome"


# What is said of an answer: of which prompt, whether it thought, and by which key it was asked for.
Says = Callable[[int, bool, str | None], Report | None]


class ReplayedGateway:
    """`shadows`: the share of requests that are answered at the other end, too; `says` judges a client's answer, and
    `of_shadow` both answers of such a pair. `keys` share the traffic out.
    """

    def __init__(
        self,
        table: BothEnds,
        folder: Path,
        seed: int,
        says: Says,
        of_shadow: Says,
        shadows: float = 0.05,
        keys: tuple[str | None, ...] = (None,),
        router: str = "prior",
        explore: float = 0.0,
        learn: dict[str, Any] | None = None,
    ) -> None:
        self._table, self.says, self.of_shadow = table, says, of_shadow
        self._random, self._shadows, self._keys = Random(seed), shadows, keys
        self.settings = _settings(folder, router, explore, learn or {})
        self.versions = RouterVersions(self.settings.versions_path)
        self._database = SqliteDatabase(self.settings.records.path)
        self.now = 1_800_000_000.0
        self._count = self.tokens = self.shadow_tokens = 0

    def serve(self, count: int) -> list[Served]:
        """So many requests, by the versions that are to serve now."""
        decider = idle_decider(with_versions(self.settings))
        found: list[Served] = []
        kept: list[Record | OutcomeRow] = []
        for _ in range(count):
            self.now += EVERY_S
            self._count += 1
            found.append(self._answer(decider, self._random.randrange(len(self._table.prompts)), kept))
        with closing(self._database.connect()) as connection:
            rows.insert(connection, kept)
            connection.commit()
        return found

    def learn(self) -> dict[str, Any]:
        """One step, as `thinkgate learn` takes it."""
        self.now += EVERY_S
        [model] = learning_models(self.settings)
        return model.step(self.versions, self.now, dry_run=False)

    def state_of(self, version: str) -> str:
        found = self.versions.read()[MODEL].find(version)
        return "gone" if found is None else found.state

    def _answer(self, decider: Decider, prompt: int, kept: list[Record | OutcomeRow]) -> Served:
        key = self._random.choice(self._keys)
        record, effort = self._decided(decider, prompt, key)
        kept.append(record)
        kept += self._outcomes(record, self.says(prompt, effort.think, key))
        if self._random.random() < self._shadows:
            other = UNLIMITED if not effort.think else NO_THINKING
            again = _answered(record, self._end(prompt, other), other)
            self.shadow_tokens += self._end(prompt, other).tokens
            again = again._replace(id=f"{record.id}-again", paired_with=record.id, features=None)
            kept.append(again)
            kept += self._outcomes(record, self.of_shadow(prompt, effort.think, key))
            kept += self._outcomes(again, self.of_shadow(prompt, other.think, key))
        answer = self._end(prompt, effort)
        self.tokens += answer.tokens
        return Served(answer.score, answer.tokens, record.router or "")

    def _decided(self, decider: Decider, prompt: int, key: str | None) -> tuple[Record, Effort]:
        task, id = self._table.prompts[prompt], f"{self._count:08d}"
        body: dict[str, Any] = {"messages": task.messages}
        if task.tools:
            body["tools"] = task.tools
        call = Call(id, "chat", MODEL, body, unit=f"unit-{self._count}")
        routed = decider.route(call, Sender(key), id)
        forecast = asyncio.run(decider.forecast(routed))
        decision = routed.model.policy.decide(call, forecast, decider.priced(routed).prices)
        record = Record(
            id=id,
            request_id=id,
            time=self.now,
            dialect="chat",
            status=200,
            model=MODEL,
            arm=routed.arm.name,
            deployment=DEPLOYMENT,
            decided=words(decision.effort),
            reason=decision.reason,
            propensity=decision.propensity,
            price_token=decision.prices.token,
            price_second=decision.prices.second,
            router=routed.model.router.version,
            unit=routed.assignment.unit,
            experiment=routed.assignment.experiment,
            key=key,
            features=None if forecast is None or forecast.features is None else forecast.features(),
        )
        return _answered(record, self._end(prompt, decision.effort), decision.effort), decision.effort

    def _end(self, prompt: int, effort: Effort) -> EndAnswer:
        return self._table.answers[prompt][effort.think]

    def _outcomes(self, record: Record, report: Report | None) -> Iterator[OutcomeRow]:
        if report is not None:
            source, score, metric = report
            yield OutcomeRow(record.id, metric, source, score, record.time, record.key, unit=record.unit)


class Sender(Principal):
    """Whoever has this key."""

    def __init__(self, key: str | None) -> None:
        self._key = key

    @property
    def key(self) -> str | None:
        return self._key

    @property
    def team(self) -> str | None:
        return None


def _answered(record: Record, answer: EndAnswer, effort: Effort) -> Record:
    return record._replace(
        decided=words(effort), applied=words(effort), completion_tokens=answer.tokens, used=answer.thinking, latency=0.1
    )


def _settings(folder: Path, router: str, explore: float, learn: dict[str, Any]) -> Settings:
    policy = {"kind": "dial", "dial": 0.5, "probe": "never", "budgets": ["max"], "default_effort": "max"}
    return parse(
        {
            "data_dir": str(folder),
            "learn": {"features": True, **learn},
            "deployments": {DEPLOYMENT: {"url": "http://127.0.0.1:9/v1", "family": "qwen3", "verify": False}},
            "models": {MODEL: {"deployment": DEPLOYMENT, "router": router, "policy": {**policy, "explore": explore}}},
        }
    )


def verified(table: BothEnds) -> Says:
    """The suite's verifier says how good each answer is."""
    return lambda prompt, think, key: Report("verifier:suite", table.answers[prompt][think].score)


def shadow(table: BothEnds) -> Says:
    """Whether both answers differ, as shadows say it; not which one is right."""
    return lambda prompt, think, key: Report("shadow", float(not table.agree[prompt]), "changed")


def silent(prompt: int, think: bool, key: str | None) -> Report | None:
    return None
