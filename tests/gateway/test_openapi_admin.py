"""The operators' OpenAPI document says what is so."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import given, settings
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.specs.openapi.checks import ignored_auth

from gateway import assembly
from gateway.api.data import Erased
from gateway.api.openapi import documents
from gateway.assembly.served_versions import version_control
from gateway.config.server import ServerSettings
from gateway.config.settings import parse
from gateway.config.storage import AccessSettings
from gateway.observability.metrics import Metrics
from gateway.routing.experiments.running import Experiments
from gateway.routing.version_control import VersionControl
from gateway.serving.admin import create_admin_app, running
from tests import plain_http
from tests.gateway.bounded import thorough, whole
from tests.gateway.conftest import table
from tests.patience import PATIENCE_S

KEY = "an operators' key of some length"
HEADERS = {"authorization": f"Bearer {KEY}"}
DOCUMENT = documents.operators("0")
OPERATIONS = {found.ok().label: found.ok() for found in schemathesis.openapi.from_dict(DOCUMENT).get_all_operations()}
WITH_BODY = [OPERATIONS["POST /keys"], OPERATIONS["POST /keys/{id}/rotate"]]


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("keys")
    keys = assembly.keys(AccessSettings(path=folder / "keys.db"))
    settings = parse({**table("http://127.0.0.1:9"), "data_dir": str(folder)})

    def experiments() -> Experiments:
        return assembly.idle_experiments(settings)

    def control() -> VersionControl:
        return version_control(settings)

    app = create_admin_app(keys, Metrics(), KEY, dict, lambda whose, anonymise: Erased(0, 0), experiments, control)
    with socket.create_server(("127.0.0.1", 0)) as listener, running(app, ServerSettings(), listener):
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with plain_http.client(base_url=url, headers=HEADERS) as client:
            yield client


def _without_contradiction(body: dict[str, Any]) -> None:
    """No schema says that a floor is not to be above the ceiling, which an earlier request may have set."""
    limits = body.get("limits")
    if isinstance(limits, dict):
        limits.pop("floor", None)


def answered(operator: httpx.Client, operation: APIOperation, mode: GenerationMode, examples: settings) -> None:
    positive = mode is GenerationMode.POSITIVE
    id = operator.post("/keys", json={"name": "one"}).json()["id"]

    @examples
    @given(operation.as_strategy(generation_mode=mode))
    def check(case: Case) -> None:
        if positive and "id" in case.path_parameters:
            case.path_parameters["id"] = id
        if positive and isinstance(case.body, dict):
            case.body = whole(case.body)
            _without_contradiction(case.body)
        url = str(operator.base_url).rstrip("/")
        # It would take the key away only where it had put it in itself; see the last test.
        case.call_and_validate(base_url=url, headers=HEADERS, timeout=PATIENCE_S, excluded_checks=[ignored_auth])

    check()


@thorough
@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS.keys())
def test_what_is_allowed_is_answered_as_described(
    operator: httpx.Client, operation: APIOperation, examples: settings
) -> None:
    answered(operator, operation, GenerationMode.POSITIVE, examples)


@thorough
@pytest.mark.parametrize("operation", WITH_BODY, ids=[operation.label for operation in WITH_BODY])
def test_what_is_not_allowed_is_refused_as_described(
    operator: httpx.Client, operation: APIOperation, examples: settings
) -> None:
    answered(operator, operation, GenerationMode.NEGATIVE, examples)


def test_strangers_see_nothing_of_it(operator: httpx.Client) -> None:
    assert "/keys/{id}/rotate" in operator.get("/openapi.json").json()["paths"]
    for path, operations in {**DOCUMENT["paths"], "/openapi.json": {"get": {}}}.items():
        for method in {"get", "post", "delete"} & set(operations):
            answer = plain_http.request(method, f"{operator.base_url}{path}")
            assert answer.status_code == (200 if path == "/health" else 401), path
