"""A router with configurable forecasts, and a backend whose probes have configurable log-probabilities."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from gateway.core.arm import Arm
from gateway.core.call import Call
from gateway.core.forecast import EffortForecast, Forecast
from gateway.core.probe import Probe, ProbeUse
from gateway.routing.effort_router.none import NoRouter, UnknownArm
from gateway.routing.effort_router.protocol import PreparedArm
from tests.gateway.running import RunningGateway
from tests.gateway.scripted import ANSWER, MODEL, Connection, obedient

SURE, UNSURE = -0.01, -2.0
PROMPT, USAGE = 7, {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}


@dataclass
class AskingRouter(NoRouter):
    """Thinking brings 0.8, whatever is asked; a short answer whose mean log-probability is above -1 is right.

    `seen` are the probes that it was told of; `tokens` is how long it takes short answers to be.
    """

    version: str = "asking"
    strange: bool = False
    probe_options: bool = True
    tokens: float = 3.0
    seen: list[Probe] = field(default_factory=list)

    def prepare(self, arm: Arm, ask: ProbeUse) -> PreparedArm:
        return AskingArm(self.version, self, arm)


@dataclass(frozen=True)
class Pays:
    """A probe that is always worth its price, or never."""

    always: bool
    outcomes: Sequence[float] = (0.0,)

    def pays(self, best_direct: float, cost: float) -> bool:
        return self.always


@dataclass(frozen=True)
class AskingArm(UnknownArm):
    router: AskingRouter
    arm: Arm
    is_known: ClassVar[bool] = True
    supports_probes: ClassVar[bool] = True

    def forecast(self, call: Call) -> Forecast | None:
        router = self.router
        rows = tuple(_one(effort, 0.5, router.tokens) for effort in self.arm.efforts)
        return Forecast(
            self.version,
            rows,
            lambda dial, ask: 1e-6,
            router.strange,
            probe_value=Pays(router.probe_options),
        )

    def update(self, forecast: Forecast, probe: Probe) -> Forecast:
        self.router.seen.append(probe)
        right = 0.95 if probe.mean > -1 else 0.1
        rows = tuple(_one(one.effort, right, 0.0) for one in forecast.efforts)
        return replace(forecast, efforts=rows, probed=True, probe_value=None)


def _one(effort: Any, right: float, tokens: float) -> EffortForecast:
    budget = 1000.0 if effort.budget is None else float(effort.budget)
    if not effort.think:
        return EffortForecast(effort, right, 0.0, tokens, 0.1)
    return EffortForecast(effort, 0.8 - 0.1 * abs(math.log2(budget / 64)), budget, 10.0, 1.0)


def with_router(gateway: RunningGateway, router: AskingRouter, *names: str) -> RunningGateway:
    """Models of a gateway that uses this router."""
    catalogue = gateway.parts.catalogue
    catalogue.renew([catalogue.find(name).with_router(router) for name in names or ("merged", "split")])
    return gateway


def entry(token: str, logprob: float) -> dict[str, Any]:
    others = [{"token": token, "logprob": logprob}, {"token": "?", "logprob": logprob - 1.5}]
    return {"token": token, "logprob": logprob, "bytes": [*token.encode()], "top_logprobs": others}


def piece(token: str, logprob: float, finish: str | None = None) -> dict[str, Any]:
    """A chunk with one token; an empty one is the end token, which has a log-probability, too."""
    choice = {
        "index": 0,
        "delta": {"content": token} if token else {},
        "logprobs": {"content": [entry(token, logprob)]},
        "finish_reason": finish,
    }
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": MODEL, "choices": [choice]}


def is_probe(connection: Connection) -> bool:
    return bool(connection.request.body.get("logprobs"))


@dataclass
class Short:
    """Answers probes with two words and an end token of this log-probability each; else like a thinking model."""

    logprob: float
    words: Sequence[str] = ("five", " ok")

    async def __call__(self, connection: Connection) -> None:
        if not is_probe(connection):
            await obedient(connection)
        elif connection.request.body.get("stream"):
            await self.stream(connection)
        else:
            message = {"role": "assistant", "content": "".join(self.words)}
            told = {"content": [entry(word, self.logprob) for word in (*self.words, "")]}
            choice = {"index": 0, "message": message, "logprobs": told, "finish_reason": "stop"}
            await connection.answer(200, json.dumps({**ANSWER, "choices": [choice], "usage": USAGE}).encode())

    async def stream(self, connection: Connection) -> None:
        await connection.begin_stream()
        first = piece("", 0.0)
        first["choices"][0] |= {"delta": {"role": "assistant", "content": ""}, "logprobs": None}
        await connection.event(first)
        for word in self.words:
            await connection.event(piece(word, self.logprob))
        await connection.event(piece("", self.logprob))
        end = piece("", self.logprob, "stop")
        end["choices"][0]["logprobs"] = None
        await connection.event(end)
        await connection.event({**end, "choices": [], "usage": USAGE})
        await connection.event("[DONE]")
        await connection.end_stream()
