"""Deployments are asked what they do with efforts, and that is compared with what their families say."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from gateway import assembly
from gateway.app import make_parts
from gateway.backends.discovery import report
from gateway.backends.discovery.discovery import Discovery, DiscoveryPace
from gateway.backends.latency import latency_models_of
from gateway.config.settings import parse
from tests.gateway.command_line import invoke
from tests.gateway.conftest import Start, table
from tests.gateway.fault_scripts import refuses
from tests.gateway.refusing import refusing
from tests.gateway.running import RunningGateway
from tests.gateway.scripted import ANSWER, MODEL, Connection, ScriptedBackend, delta
from tests.patience import until

QUICK = DiscoveryPace(watch_s=0.02, first_s=0.02, least_s=0.0)
TOKENS = {"<think>": [1], "</think>": [2], "\n": [9], "\n\n": [3]}
THOUGHT = 20


@dataclass
class Manner:
    """How a backend behaves: as family qwen3 says, unless told otherwise. No `field`: thoughts are in the text."""

    off: bool = True
    on: bool = True
    default: bool = True
    field: str = "reasoning"
    budget: str = "kept"
    ids: bool = True
    reports: bool = True
    model: str = MODEL
    context: int = 4096
    version: str = "1"
    status: int = 200
    late: int = 0

    async def __call__(self, connection: Connection) -> None:
        path, body = connection.request.path, connection.request.body
        if self.status != 200:
            await connection.answer(self.status, b"{}")
        elif path.endswith("/models"):
            await self._json(connection, {"data": [{"id": self.model, "max_model_len": self.context}]})
        elif path.endswith("/version"):
            await self._json(connection, {"version": self.version})
        elif path.endswith("/tokenize"):
            await self._json(connection, {"tokens": TOKENS[body["prompt"]]})
        elif (body.get("return_token_ids") and not self.ids) or (
            "thinking_token_budget" in body and self.budget == "refused"
        ):
            await connection.answer(400, b'{"error": {"message": "no such thing"}}')
        else:
            await self._answer(connection, body)

    def _refuses(self, body: dict[str, Any]) -> bool:
        if body.get("return_token_ids") and not self.ids:
            return True
        return "thinking_token_budget" in body and self.budget == "refused"

    async def _answer(self, connection: Connection, body: dict[str, Any]) -> None:
        switch = (body.get("chat_template_kwargs") or {}).get("enable_thinking")
        thinks = self.default if switch is None else self.on if switch else not self.off
        granted = body.get("thinking_token_budget") if self.budget == "kept" else None
        granted = None if granted is None else granted + self.late
        spent = (THOUGHT if granted is None else granted) if thinks else 0
        usage: dict[str, Any] = {"prompt_tokens": 7, "completion_tokens": spent + 1, "total_tokens": spent + 8}
        if self.reports:
            usage["completion_tokens_details"] = {"reasoning_tokens": spent}
        if not body.get("stream"):
            said = {self.field: "so " * spent, "content": "four"} if self.field else {}
            message = {"role": "assistant", **(said or {"content": "<think>so</think>four"})}
            await self._json(connection, {**ANSWER, "choices": [{"index": 0, "message": message}], "usage": usage})
            return
        await connection.begin_stream()
        await connection.event({**delta(role="assistant", content=""), "prompt_token_ids": [7] if self.ids else None})
        for _ in range(spent):
            chunk = delta(**{self.field or "content": "so "})
            chunk["choices"][0]["token_ids"] = [11] if self.ids else None
            await connection.event(chunk)
        await connection.event(delta("stop", content="four"))
        await connection.event({**delta(), "choices": [], "usage": usage})
        await connection.event("[DONE]")
        await connection.end_stream()

    async def _json(self, connection: Connection, value: Any) -> None:
        await connection.answer(200, json.dumps(value).encode())


def _table(url: str, **fields: Any) -> dict[str, Any]:
    deployment = {"url": url, "model": MODEL, "family": "qwen3", "verify": True, **fields}
    return {"deployments": {"dep": deployment}, "models": {"pub": {"deployment": "dep"}}}


def _verify(url: str, **fields: Any) -> tuple[list[str], bool]:
    return report.verify(assembly.deployments(parse(_table(url, **fields))).values())


IN_FIELD = "budgets in 'thinking_token_budget'"
AS_IT_SHOULD = "as family qwen3 says; it enforces budgets itself; it reports thinking tokens."


def _right(url: str) -> tuple[list[str], bool]:
    return [f"Verified dep at {url}: {AS_IT_SHOULD}", "Verification OK: 1 backend asked."], False


def test_a_backend_that_does_what_its_family_says(backend: ScriptedBackend) -> None:
    backend.script = Manner()
    assert _verify(backend.url, max_context=4096) == _right(backend.url)
    chats = [request for request in backend.requests if request.path.endswith("/chat/completions")]
    assert len(chats) == len(backend.requests) == 4
    assert all(request.body["max_tokens"] <= 32 for request in chats)


@pytest.mark.parametrize(
    ("manner", "expected"),
    [
        (Manner(off=False), ["off: it thinks although thinking is turned off"]),
        (Manner(default=False), ["default: it does not think by default"]),
        (Manner(on=False), ["on: it does not think when thinking is turned on"]),
        (Manner(field="reasoning_content"), ["field: its reasoning is in 'reasoning_content', not in 'reasoning'"]),
        (Manner(model="another"), [f"model: it does not serve the model {MODEL!r}"]),
        (Manner(context=2048), ["context: its context is 2048 tokens, not 4096"]),
        (
            Manner(budget="refused"),
            ["budget: it refuses budgets in 'thinking_token_budget': the gateway enforces them itself, in two phases"],
        ),
        (
            Manner(budget="ignored"),
            ["budget: it ignores budgets in 'thinking_token_budget': the gateway enforces them itself, in two phases"],
        ),
        (
            Manner(budget="ignored", ids=False, reports=False),
            [
                "usage: it does not report thinking tokens: they are counted here",
                f"budget: it ignores {IN_FIELD}: the gateway truncates answers whose reasoning exceeds them",
            ],
        ),
        (
            Manner(field="", budget="refused"),
            [
                "off: it thinks although thinking is turned off",
                "field: its reasoning is not separated from its answers: it has no reasoning parser",
                "budget: it refuses budgets in 'thinking_token_budget': they are not enforced",
            ],
        ),
    ],
)
def test_disagreements_are_told(backend: ScriptedBackend, manner: Manner, expected: list[str]) -> None:
    backend.script = manner
    lines, disagree = _verify(backend.url, max_context=4096)
    assert disagree
    assert lines[1:-1] == [f"  {line}" for line in expected]
    assert lines[-1] == "Verification FAILED: of 1 backend asked, 1 not what the configuration says."


def test_an_engine_that_ends_thoughts_a_token_late_keeps_budgets(backend: ScriptedBackend) -> None:
    backend.script = Manner(late=1)
    assert _verify(backend.url) == _right(backend.url)


def test_token_ids_that_are_refused_say_nothing_of_the_budget(backend: ScriptedBackend) -> None:
    backend.script = Manner(ids=False)
    assert _verify(backend.url) == _right(backend.url)


@pytest.mark.parametrize("status", [401, 429, 503])
def test_who_cannot_be_asked_fails(backend: ScriptedBackend, status: int) -> None:
    backend.script = Manner(status=status)
    assert _verify(backend.url) == (
        [
            f"Verified dep at {backend.url}: it cannot be verified: It answered {status}.",
            "Verification FAILED: of 1 backend asked, 1 cannot be used.",
        ],
        True,
    )


def test_hosted_apis_and_unknown_families_are_not_asked(backend: ScriptedBackend) -> None:
    known = assembly.deployments(parse(_table(backend.url) | {"deployments": {
        "dep": {"url": backend.url, "family": "plain"},
        "other": {"url": backend.url, "family": "qwen3", "verify": False},
        "third": {"url": backend.url, "family": "qwen3"},
    }}))  # fmt: skip
    assert [one.name for one in known.values() if one.verify] == ["third"]


@contextmanager
def _watched(backend: ScriptedBackend, folder: Path, **fields: Any) -> Iterator[RunningGateway]:
    """A gateway that looks often."""
    parts = make_parts(parse({"records": {"path": folder / "records.db"}, **_table(backend.url, **fields)}))
    discovery = Discovery(
        parts.transport, parts.deployments.values(), parts.capabilities, parts.metrics.disagrees, QUICK
    )
    with RunningGateway.of(replace(parts, discovery=discovery)) as gateway:
        yield gateway


def _disagrees(gateway: RunningGateway, what: str) -> bool:
    return f'thinkgate_family_disagreements{{deployment="dep",what="{what}"}} 1.0' in gateway.get("/metrics").text


def _agrees(gateway: RunningGateway, what: str) -> bool:
    return f'thinkgate_family_disagreements{{deployment="dep",what="{what}"}} 0.0' in gateway.get("/metrics").text


def _enforcement(gateway: RunningGateway, budget: int = 5) -> str:
    body = {"model": "pub", "messages": [{"role": "user", "content": "hi"}], "thinking_token_budget": budget}
    return str(gateway.post({**body, "include": ["thinkgate"]}).json()["thinkgate"]["enforced"])


def test_a_backend_that_becomes_another_one_is_asked_again(
    backend: ScriptedBackend, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    backend.script = manner = Manner()
    with caplog.at_level(logging.WARNING, "thinkgate"), _watched(backend, tmp_path) as gateway:
        until(lambda: _agrees(gateway, "budget"))
        assert _enforcement(gateway) == "native"
        manner.budget, manner.version = "ignored", "2"
        until(lambda: _disagrees(gateway, "budget"))
        assert _enforcement(gateway) == "two-phase"
        manner.budget, manner.version = "kept", "3"
        until(lambda: _agrees(gateway, "budget"))
        assert _enforcement(gateway) == "native"
    assert [line for line in caplog.messages if line.startswith("deployment")] == [
        "deployment dep contradicts family qwen3: it ignores budgets in 'thinking_token_budget': the gateway enforces "
        "them itself, in two phases"
    ]


def test_answers_that_exceed_their_budgets_raise_doubt(backend: ScriptedBackend, tmp_path: Path) -> None:
    backend.script = manner = Manner()
    with _watched(backend, tmp_path) as gateway:
        until(lambda: _agrees(gateway, "budget"))
        # It keeps its name and version.
        manner.budget = "ignored"
        verdicts = [_enforcement(gateway) for _ in range(3)]
        assert verdicts == ["native"] * 3
        until(lambda: _disagrees(gateway, "budget"))
        assert _enforcement(gateway) == "two-phase"


def test_nobody_waits_for_a_backend_that_is_slow_to_be_probed(backend: ScriptedBackend, start: Start) -> None:
    release = threading.Event()

    async def slow(connection: Connection) -> None:
        if connection.request.path.endswith("/models") and not release.is_set():
            await connection.hung_up()
        await Manner()(connection)

    backend.script = slow
    gateway = start(_table(backend.url))
    assert gateway.get("/healthz").status_code in (200, 404)
    assert _enforcement(gateway) == "native"
    gateway.stop()
    release.set()


def test_a_replica_that_is_back_after_a_break_is_probed(backend: ScriptedBackend, start: Start) -> None:
    asked: list[str] = []

    async def broken(connection: Connection) -> None:
        connection.cut()

    settings = table(backend.url)
    settings["deployments"]["hybrid"]["retries"] = 0
    gateway = start(settings)
    gateway.parts.transport.returned = asked.append

    def status(number: int) -> int:
        body = {"model": "fixed", "messages": [{"role": "user", "content": f"hi {number}"}]}
        return gateway.post(body).status_code

    backend.script = broken
    # One request alone may be the cause of what happens to it.
    assert [status(number) for number in range(3)] == [502] * 3
    backend.script = Manner()
    until(lambda: status(4) == 200)
    assert asked == ["hybrid"]


def test_one_that_is_not_probed_must_be_there(backend: ScriptedBackend) -> None:
    backend.script = Manner()
    there = f"Verified dep at {backend.url}: it is reachable; its effort control was not verified."
    for fields in ({"family": "plain", "verify": None}, {"verify": False}):
        assert _verify(backend.url, **fields) == ([there, "Verification OK: 1 backend asked."], False)
        with refusing() as nowhere:
            lines, failed = _verify(nowhere, **fields)
        assert failed and f"{nowhere}: it cannot be verified: The backend dep cannot be reached:" in lines[0]
        assert lines[0].endswith(": Connection refused (errno 111).")
        lines, failed = _verify(backend.url, **fields, model="another")
        assert failed and lines[0].endswith("it does not serve the model 'another'.")
    assert not [request for request in backend.requests if request.path.endswith("/chat/completions")]


def test_an_address_with_nothing_behind_it_fails(backend: ScriptedBackend) -> None:
    for status, verify in product((404, 405), (True, False)):
        backend.script = refuses(status)
        lines, failed = _verify(backend.url, verify=verify)
        assert failed and backend.url in lines[0] and str(status) in " ".join(lines), lines


def test_a_family_that_is_wrong_fails(backend: ScriptedBackend) -> None:
    """Of one without a switch, the place says what the model does."""
    for thinks, side in ((True, "none"), (False, "think")):
        backend.script = Manner(default=thinks, on=thinks)
        policy = {"kind": "fixed", "effort": "none" if side == "none" else "max"}
        deployment = {"url": backend.url, "model": MODEL, "family": "qwen3-2507", "verify": True}
        chosen = parse({"deployments": {"dep": deployment}, "models": {"pub": {side: "dep", "policy": policy}}})
        known = assembly.deployments(chosen)
        arms = [
            arm for model in assembly.catalogue(chosen, known, latency_models_of(known.values())) for arm in model.arms
        ]
        lines, failed = report.verify(known.values(), arms)
        assert failed and lines[1].startswith(
            "  family: it thinks, although" if thinks else "  family: it does not think"
        ), lines


def test_the_key_of_the_deployment_is_sent(
    backend: ScriptedBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THINKGATE_TEST_KEY", "secret")
    backend.script = Manner()
    assert not _verify(backend.url, api_key_env="THINKGATE_TEST_KEY")[1]
    assert {request.headers["authorization"] for request in backend.requests} == {"Bearer secret"}


def test_check_can_probe(tmp_path: Path, engine: str, limitless: Callable[[str], str]) -> None:
    config = tmp_path / "thinkgate.toml"
    for url, status, words in (
        (engine, 0, AS_IT_SHOULD),
        (limitless("ignored"), 1, "budget: it ignores budgets in 'thinking_token_budget'"),
        ("http://127.0.0.1:9", 1, "The backend tiny cannot be reached: Connection refused (errno 111)."),
    ):
        config.write_text(
            f'deployments.tiny = {{ url = "{url}", family = "qwen3" }}\nmodels.m = {{ deployment = "tiny" }}\n',
            "utf-8",
        )
        done = invoke("check", "--verify", config, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (status, "")
        assert words in " ".join(done.stdout.split()) and url in done.stdout
        assert done.stdout.splitlines()[-1].startswith("Verification FAILED: " if status else "Verification OK: ")
        assert [line for line in done.stdout.splitlines() if len(line) > 80] == []
