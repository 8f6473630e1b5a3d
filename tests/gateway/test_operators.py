"""The operators' side: the commands, and the second port with a key of its own."""

from __future__ import annotations

import json
import signal
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from gateway.commands.check import explain
from gateway.config.settings import load
from gateway.core.errors import ConfigError
from tests import plain_http
from tests.gateway.command_line import invoke
from tests.gateway.processes import Process
from tests.gateway.scripted import MODEL, ScriptedBackend, thorough
from tests.patience import until

ASK: dict[str, Any] = {"model": "pub", "messages": [{"role": "user", "content": "hi"}], "reasoning_effort": "minimal"}
OPERATOR = "an operators' key of some length"
CONFIG = """
deployments.dep = {{ url = "{url}", model = "{model}", family = "qwen3", verify = false, output_price = 2.0 }}
models.pub = {{ deployment = "dep" }}
models.other = {{ deployment = "dep" }}
access = {{ required = true }}
admin = {{ port = 0, key_env = "THINKGATE_TEST_OPERATORS_KEY" }}
server = {{ metrics = false }}
"""


@pytest.fixture
def config(backend: ScriptedBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("THINKGATE_TEST_OPERATORS_KEY", f" {OPERATOR}\n")
    backend.script = thorough
    path = tmp_path / "thinkgate.toml"
    path.write_text(CONFIG.format(url=backend.url, model=MODEL), "utf-8")
    return path


def keys(config: Path, *arguments: str) -> Any:
    """What `thinkgate keys` says to machines."""
    done = invoke("keys", *arguments, "--config", config, "--json", cwd=config.parent)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def status(url: str, secret: str) -> int:
    headers = {"authorization": f"Bearer {secret}"}
    return plain_http.post(f"{url}/v1/chat/completions", json=ASK, headers=headers).status_code


@pytest.fixture
def operators(config: Path) -> Iterator[tuple[Process, str, httpx.Client]]:
    """A running gateway with two workers, the clients' URL, and an operator."""
    with Process("--config", config, "--port", "0", "--workers", "2", cwd=config.parent) as process:
        url = process.url()
        headers = {"authorization": f"Bearer {OPERATOR}"}
        with plain_http.client(base_url=process.operators, headers=headers) as client:
            yield process, url, client


def test_keys_by_command_on_a_running_gateway(config: Path) -> None:
    with Process("--config", config, "--port", "0", "--workers", "2", cwd=config.parent) as gateway:
        url = gateway.url()
        made = keys(config, "create", "Ann", "--model", "pub", "--thinking-per-day", "2048", "--expires", "7d")
        old, id = made["secret"], made["id"]
        assert made["limits"] == {"models": ["pub"], "thinking_per_day": 2048}
        assert made["expires"] - made["created"] == pytest.approx(7 * 86_400)
        assert {status(url, old) for _ in range(8)} == {200}
        new = keys(config, "rotate", id)["secret"]
        assert {status(url, secret) for secret in (old, new) for _ in range(4)} == {200}
        newest = keys(config, "rotate", id, "--overlap", "0")["secret"]
        assert {status(url, secret) for secret in (old, new) for _ in range(4)} == {401}
        told = keys(config, "show", id)
        # Minimal is 128 thinking tokens: sixteen requests fit.
        assert status(url, newest) == 429 and told["usage"]["all"]["requests"] == 16
        assert told["usage"]["day"]["thinking_tokens"] == 2048 and told["secrets"] == 1
        assert keys(config, "revoke", id)["state"] == "revoked"
        assert {status(url, newest) for _ in range(8)} == {401}
        assert [key["id"] for key in keys(config, "list")["data"]] == [id]
        assert gateway.stop() == 0 and gateway.errors() == ""


def test_commands_for_people(config: Path) -> None:
    done = invoke("keys", "create", "Ann", "--config", config, "--ceiling", "low", cwd=config.parent)
    assert (
        "secret: tg-" in done.stdout and "limits: ceiling low" in done.stdout and "cannot be shown again" in done.stderr
    )
    secret = done.stdout.split("secret: ")[1].strip()
    listed = invoke("keys", "list", "--config", config, cwd=config.parent).stdout
    assert "Ann" in listed and "live" in listed and secret not in listed
    for arguments, said in (
        (("create", "Bob", "--model", "pbu"), "--model: 'pbu' is not among [models]. Did you mean 'pub'?"),
        (("create", "Bob", "--ceiling", "hihg"), "limits.ceiling: 'hihg' is not an effort. Did you mean 'high'?"),
        (("create", "Bob", "--thinking-per-day", "-1"), "limits.thinking_per_day: input should be greater than"),
        (("create", "B\nob"), "name: string should match pattern"),
        (("show", "no-such"), "There is no key 'no-such'."),
    ):
        done = invoke("keys", *arguments, "--config", config, cwd=config.parent)
        assert done.returncode == 1 and done.stderr.startswith(f"thinkgate: {said}"), done.stderr
        assert done.stderr.count("\n") == 1
    assert invoke("keys", "rotate", "x", "--overlap", "1w", "--config", config, cwd=config.parent).returncode == 2


def test_the_operators_port(operators: tuple[Process, str, httpx.Client]) -> None:
    _, url, operator = operators
    made = operator.post("/keys", json={"name": "Ann", "limits": {"requests_per_minute": 1000}})
    assert made.status_code == 201 and made.headers["cache-control"] == "no-store"
    id, secret = made.json()["id"], made.json()["secret"]
    with openai.OpenAI(base_url=f"{url}/v1", api_key=secret) as client:
        client.chat.completions.create(**ASK)
    told = operator.get(f"/keys/{id}").json()
    assert told["usage"]["all"] == {
        "requests": 1,
        "degraded": 0,
        "prompt_tokens": 7,
        "completion_tokens": 132,
        "thinking_tokens": 128,
        "dollars": pytest.approx(132 * 2e-6),
    }
    assert operator.get("/keys").json()["data"] == [told] and secret not in str(told)
    rotated = operator.post(f"/keys/{id}/rotate", json={"overlap_s": 60}).json()
    assert rotated["secrets"] == 2 and status(url, secret) == status(url, rotated["secret"]) == 200
    assert operator.post(f"/keys/{id}/revoke").json()["state"] == "revoked"
    assert {status(url, rotated["secret"]) for _ in range(8)} == {401}
    assert operator.post(f"/keys/{id}/rotate").status_code == 409
    # The metrics of both workers, here and not there.
    until(lambda: 'thinkgate_refused_total{why="revoked"} 8.0' in operator.get("/metrics").text)
    assert plain_http.get(f"{url}/metrics").status_code == plain_http.get(f"{url}/keys").status_code == 404


def test_nobody_else_is_let_in(operators: tuple[Process, str, httpx.Client]) -> None:
    process, url, operator = operators
    secret = operator.post("/keys", json={"name": "Ann"}).json()["secret"]
    for headers in ({}, {"authorization": f"Bearer {secret}"}, {"authorization": f"Bearer {OPERATOR} x"}):
        for method, path in (
            ("GET", "/keys"),
            ("POST", "/keys"),
            ("GET", "/keys/x"),
            ("GET", "/metrics"),
            ("GET", "/openapi.json"),
        ):
            answer = plain_http.request(method, process.operators + path, headers=headers)
            assert answer.status_code == 401 and answer.json()["error"]["code"] == "invalid_api_key"
    assert plain_http.get(f"{process.operators}/health").status_code == 200
    for path in ("/v1/models", "/docs", "/ready"):
        assert operator.get(path).status_code == 404
    assert status(url, OPERATOR) == 401
    assert len(operator.get("/keys").json()["data"]) == 1


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "not valid JSON"),
        (b"[]", "must be a JSON object"),
        (b"{}", "name: is required"),
        (b'{"name": ""}', "name: string should have at least 1 character"),
        (b'{"name": "x", "limit": {}}', "limit: unknown key. Did you mean 'limits'?"),
        (b'{"name": "x", "limits": {"thinking_per_days": 1}}', "limits.thinking_per_days: unknown key. Did you mean"),
        (b'{"name": "x", "limits": {"requests_per_minute": "1"}}', "limits.requests_per_minute: input should be"),
        (b'{"name": "x", "limits": {"requests_per_minute": true}}', "limits.requests_per_minute: input should be"),
        (b'{"name": "x", "limits": {"models": []}}', "limits.models: list should have at least 1 item"),
        (b'{"name": "x", "expires_in_s": 1e99}', "expires_in_s: input should be less than"),
        (b'{"name": "x", "name": "y"}', "duplicate key"),
        (b'{"name": "' + b"x" * 70_000 + b'"}', "larger than 65536 bytes"),
    ],
)
def test_each_mistake_of_an_operator_is_named(operators_of_one: httpx.Client, body: bytes, said: str) -> None:
    answer = operators_of_one.post("/keys", content=body)
    assert answer.status_code in (400, 413) and said in answer.json()["error"]["message"]
    assert operators_of_one.get("/keys").json()["data"] == []


@pytest.fixture(scope="module")
def operators_of_one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """An operator of a gateway with one process and no backend."""
    folder = tmp_path_factory.mktemp("operators")
    (folder / "operators-key").write_text(OPERATOR, "utf-8")
    config = folder / "thinkgate.toml"
    text = CONFIG.format(url="http://127.0.0.1:9", model=MODEL)
    config.write_text(text.replace('key_env = "THINKGATE_TEST_OPERATORS_KEY"', 'key_file = "operators-key"'), "utf-8")
    with Process("--config", config, "--port", "0", cwd=folder) as process:
        process.url()
        headers = {"authorization": f"Bearer {OPERATOR}"}
        with plain_http.client(base_url=process.operators, headers=headers) as client:
            yield client


def test_two_workers_share_a_quota_and_it_survives_a_kill(config: Path, backend: ScriptedBackend) -> None:
    secret = keys(config, "create", "Ann", "--thinking-per-day", str(128 * 20))["secret"]
    for number in (signal.SIGTERM, signal.SIGKILL):
        with (
            Process("--config", config, "--port", "0", "--workers", "2", cwd=config.parent) as gateway,
            ThreadPoolExecutor(10) as pool,
        ):
            url = gateway.url()
            asks = 20 if number == signal.SIGTERM else 12
            codes = list(pool.map(status, [url] * asks, [secret] * asks))
            gateway.stop(number)
        if number == signal.SIGTERM:
            assert codes == [200] * 20
    assert codes == [429] * 12
    assert len(backend.requests) == 20


def test_records_name_the_key(config: Path) -> None:
    made = keys(config, "create", "Ann")
    with Process("--config", config, "--port", "0", cwd=config.parent) as gateway:
        assert status(gateway.url(), made["secret"]) == 200
        assert gateway.stop() == 0
    with closing(sqlite3.connect(config.parent / "thinkgate.db")) as database:
        ((key, cost),) = database.execute("SELECT key, cost FROM records").fetchall()
    assert (key, cost) == (made["id"], pytest.approx(132 * 2e-6))


def test_check_says_who_may_come_in(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(config.parent)
    said = "\n".join(explain(load(config)))
    made = f"in {config.parent / 'thinkgate-keys.db'}, made by `thinkgate keys create`."
    assert f"Clients need an API key; there are none yet {made}" in said
    assert not Path("thinkgate-keys.db").exists()
    keys(config, "create", "Ann")
    assert f"Clients need an API key; 1 live one is {made}" in "\n".join(explain(load(config)))
    assert "Operators have 127.0.0.1 port 0, with a separate key: keys, usage and metrics." in said
    assert "Metrics are for operators only." in said and OPERATOR not in said
    config.write_text(config.read_text("utf-8").replace("required = true", "required = false"), "utf-8")
    assert "Clients need no API key" in "\n".join(explain(load(config)))


@pytest.mark.parametrize(
    ("right", "wrong", "fault"),
    [
        (
            "THINKGATE_TEST_OPERATORS_KEY",
            "THINKGATE_TEST_NO",
            "admin.key_env: the environment variable THINKGATE_TEST_NO",
        ),
        ('key_env = "THINKGATE_TEST_OPERATORS_KEY"', 'key_file = "no-such"', "admin.key_file: no-such: No such file"),
        ('key_env = "THINKGATE_TEST_OPERATORS_KEY"', 'key_file = "."', "admin.key_file: .: Is a directory"),
        ('key_env = "THINKGATE_TEST_OPERATORS_KEY"', 'key_file = "/dev/null"', "admin.key_file: /dev/null is empty"),
        (", key_env", ', key_file = "x", key_env', "admin.key_env, key_file: set one of them"),
        (', key_env = "THINKGATE_TEST_OPERATORS_KEY"', "", "admin.key_env, key_file: set one of them"),
        ("admin = { port = 0,", "admin = {", "admin.port: is required"),
        ("required = true", "requierd = true", "access.requierd: unknown key. Did you mean 'required'?"),
        ('family = "qwen3"', 'family = "qwen3", api_key_file = "none"', "deployments.dep.api_key_file: none: No such"),
        (
            'family = "qwen3"',
            'family = "qwen3", api_key_env = "HOME", api_key_file = "none"',
            "deployments.dep.api_key_env, api_key_file: set one of them",
        ),
    ],
)
def test_each_fault_of_the_configuration_is_one_line(config: Path, right: str, wrong: str, fault: str) -> None:
    text = config.read_text("utf-8")
    assert right in text
    config.write_text(text.replace(right, wrong, 1), "utf-8")
    with pytest.raises(ConfigError) as caught:
        list(explain(load(config)))
    # Paths begin at the configuration's folder.
    (told,) = (each.replace(f"{config.parent}/", "").replace(str(config.parent), ".") for each in caught.value.faults)
    assert told.startswith(fault)


def test_a_key_that_can_be_guessed_is_refused(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THINKGATE_TEST_OPERATORS_KEY", "short")
    with pytest.raises(ConfigError, match="shorter than 16 characters"):
        list(explain(load(config)))
