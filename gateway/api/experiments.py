"""`/experiments`, for operators: what runs and with what weights, to start and to stop, and to ramp."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from gateway.api import asgi, json_object
from gateway.api.fields import Fields
from gateway.core.errors import InvalidRequest, UnknownExperiment, suggestion
from gateway.core.strict import LEAST_WEIGHT, MOST_WEIGHT
from gateway.routing.experiments.description import described
from gateway.routing.experiments.experiment import Experiment
from gateway.routing.experiments.running import Experiments

MAX_BODY_BYTES, MAX_DEPTH = 64 * 1024, 4
UNKNOWN = "unknown_parameter"
# Notes in the audit log that an operator did something to an experiment; returns who it was.
Note = Callable[[Request, str, str], str]


def router(experiments: Callable[[], Experiments], note: Note) -> APIRouter:
    """`experiments` are those of the configuration that is served now. A change holds for all workers and after
    restarts.
    """
    routes = APIRouter(prefix="/experiments")

    @routes.get("")
    async def list_experiments() -> JSONResponse:
        found = await asyncio.to_thread(experiments)
        return JSONResponse({"object": "list", "data": [described(one, found.state(one)) for one in found]})

    @routes.get("/{name:path}")
    async def show(name: str) -> JSONResponse:
        found, experiment = await _find(name, experiments)
        return _answer(found, experiment)

    @routes.post("/{name:path}/start")
    async def start(name: str, request: Request) -> JSONResponse:
        found, experiment = await _find(name, experiments)
        found.change(experiment, "started", note(request, "experiments.start", name), running=True)
        return _answer(found, experiment)

    @routes.post("/{name:path}/stop")
    async def stop(name: str, request: Request) -> JSONResponse:
        found, experiment = await _find(name, experiments)
        found.change(experiment, "stopped", note(request, "experiments.stop", name), running=False)
        return _answer(found, experiment)

    @routes.post("/{name:path}/weights")
    async def ramp(name: str, request: Request) -> JSONResponse:
        found, experiment = await _find(name, experiments)
        raw = await asgi.read_body(request.scope, request.receive, MAX_BODY_BYTES)
        weights = {**found.state(experiment).weights, **_weights(json_object.read(raw, MAX_DEPTH), experiment)}
        found.change(experiment, "weights", note(request, "experiments.weights", name), weights=weights)
        return _answer(found, experiment)

    return routes


async def _find(name: str, experiments: Callable[[], Experiments]) -> tuple[Experiments, Experiment]:
    found = await asyncio.to_thread(experiments)
    known = {one.name: one for one in found}
    if name not in known:
        raise UnknownExperiment(name, known)
    return found, known[name]


def _answer(found: Experiments, experiment: Experiment) -> JSONResponse:
    events = [event._asdict() for event in found.journal.events() if event.experiment == experiment.name]
    told = [{name: value for name, value in event.items() if value is not None} for event in events]
    return JSONResponse({**described(experiment, found.state(experiment)), "events": told})


def _weights(body: Mapping[str, Any], experiment: Experiment) -> dict[str, float]:
    """Of some arms or of all. InvalidRequest: an unknown arm, or what is no weight."""
    given = Fields(dict(body)).required_object("weights").given
    unknown = next((name for name in body if name != "weights"), None)
    if unknown is not None:
        raise InvalidRequest(f"{unknown[:100]} is unknown: it takes weights.", param=unknown[:100], code=UNKNOWN)
    if not given:
        raise InvalidRequest("weights names no arm: nothing would change.", param="weights", code="invalid_value")
    known = [arm.name for arm in experiment.arms]
    for arm, weight in given.items():
        param = f"weights.{arm}"
        if arm not in known:
            raise InvalidRequest(f"{arm!r} is not an arm.{suggestion(arm, known)}", param=param, code="unknown_arm")
        number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not number or not LEAST_WEIGHT <= weight <= MOST_WEIGHT:
            message = (
                f"A weight is a number from {LEAST_WEIGHT:f} to {MOST_WEIGHT:.0f}; to stop all arms but one, stop."
            )
            raise InvalidRequest(message, param=param, code="invalid_value")
    return {arm: float(weight) for arm, weight in given.items()}
