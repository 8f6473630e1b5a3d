"""What clients may not send to a backend: fields, URLs and sizes, in every dialect; and what they may, untouched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway import assembly
from gateway.config import field_policy
from gateway.config.settings import parse
from gateway.core.errors import ConfigError, InvalidRequest
from gateway.core.field_policy import FieldPolicy, MediaPolicy
from gateway.families.guard import fields, hosts, media
from tests.gateway.bounded import FEW
from tests.gateway.keyed import Clock, KeyedGateway
from tests.gateway.running import RunningGateway
from tests.gateway.scripted import ScriptedBackend, obedient

Json = dict[str, Any]
NESTS = ("extra_body", "chat_template_kwargs", "structured_outputs")
ROWS = [row.names[0] for row in field_policy.shipped().denied]
NAMES = [name for row in field_policy.shipped().denied for name in row.names]
DIALECTS: dict[str, Json] = {
    "/v1/chat/completions": {"model": "m", "messages": [{"role": "user", "content": "Hi"}]},
    "/v1/responses": {"model": "m", "input": "Hi"},
    "/v1/messages": {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]},
    "/v1/completions": {"model": "m", "prompt": "Hi"},
    "/v1/embeddings": {"model": "m", "input": "Hi"},
}
CHAT, RESPONSES, MESSAGES = list(DIALECTS)[:3]
# Read, or refused in words of its own, by this dialect.
OWN = {RESPONSES: {"background", "conversation_id"}, MESSAGES: {"mcp_servers"}}


def settings_of(url: str, **deployment: Any) -> Json:
    return {
        "deployments": {"d": {"url": url, "model": "backend-model", "family": "qwen3", "verify": False, **deployment}},
        "models": {"m": {"deployment": "d"}},
    }


@pytest.fixture(scope="module")
def backend() -> Iterator[ScriptedBackend]:
    with ScriptedBackend() as backend:
        yield backend


class Client:
    """With a key without limits, at a gateway that asks for one."""

    def __init__(self, gateway: KeyedGateway, backend: ScriptedBackend) -> None:
        self.backend = backend
        self.http = gateway.http(headers={"authorization": f"Bearer {gateway.key()}"})

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def post(self, path: str, body: Json) -> httpx.Response:
        return self.http.post(path, json=body)

    def refused(self, path: str, body: Json, code: str) -> str:
        """Nothing reaches the backend, and the client is told which field and why; returns its name."""
        before = len(self.backend.requests)
        response = self.post(path, body)
        error = response.json()["error"]
        assert (response.status_code, error["code"]) == (400, code), (path, body, response.text)
        assert error["type"] == "invalid_request_error"
        assert len(self.backend.requests) == before, (path, body)
        return str(error["param"])

    def passed(self, path: str, body: Json) -> Json:
        """What the backend got."""
        before = len(self.backend.requests)
        response = self.post(path, body)
        assert len(self.backend.requests) == before + 1, response.text
        return self.backend.last


@pytest.fixture(scope="module")
def client(backend: ScriptedBackend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    backend.script = obedient
    keyed = KeyedGateway(settings_of(backend.url), tmp_path_factory.mktemp("keyed"), Clock())
    with keyed, Client(keyed, backend) as client:
        yield client


def test_dangerous_fields_are_refused_in_every_dialect(client: Client) -> None:
    for name in ROWS:
        for path, body in DIALECTS.items():
            if name not in OWN.get(path, ()):
                assert client.refused(path, {**body, name: {"a": 1}}, fields.CODE) == name


def test_every_name_of_the_list_is_refused_at_any_depth() -> None:
    policy = whole()
    for name in NAMES:
        for nest in NESTS:
            body: Json = {name: "x"}
            for _ in range(3):
                with pytest.raises(InvalidRequest) as refused:
                    fields.check(body, policy)
                assert refused.value.code == fields.CODE and str(refused.value.param).endswith(name)
                body = {nest: body, "model": "m"}


def test_each_name_is_there_once_with_a_reason_and_a_source() -> None:
    assert len(NAMES) == len(set(NAMES))
    assert all(row.why and row.source for row in field_policy.shipped().denied)


def test_plain_sampling_and_forms_pass_untouched(client: Client) -> None:
    plain: Json = {
        "temperature": 0.3, "top_p": 0.9, "top_k": 40, "min_p": 0.05, "repetition_penalty": 1.1, "seed": 7,
        "presence_penalty": 0.1, "frequency_penalty": 0.1, "stop": ["END"], "logprobs": True, "top_logprobs": 3,
        "logit_bias": {"17": -5}, "n": 1, "max_tokens": 500, "min_tokens": 2, "stop_token_ids": [3], "bad_words": ["x"],
        "structured_outputs": {"regex": "a+"}, "guided_json": {"type": "object"}, "guided_regex": "a", "regex": "a",
        "ebnf": "root ::= 'a'", "user": "u", "metadata": {"a": "b"}, "store": False, "verbosity": "low",
        "skip_special_tokens": True, "return_token_ids": True, "include_stop_str_in_output": False,
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {
            "type": "object", "properties": {"priority": {"type": "integer"}, "tags": {"type": "string"}}}}},
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {
            "headers": {"type": "object"}, "url": {"type": "string"}}}}}],
        "custom_params": {"thinking_budget": 64}, "documents": [{"title": "t", "text": "u"}],
    }  # fmt: skip
    told = client.passed(CHAT, {**DIALECTS[CHAT], **plain})
    mine = {name for name in plain if name not in ("custom_params", "max_tokens")}
    assert {name: told.get(name) for name in mine} == {name: plain[name] for name in mine}


def test_sizes_and_values_stay_within_bounds(client: Client) -> None:
    huge: list[Json] = [
        {"logit_bias": {str(n): 1 for n in range(1025)}}, {"n": 33}, {"best_of": 10_000},
        {"min_tokens": 100_000}, {"prompt_logprobs": -1}, {"prompt_logprobs": 21}, {"logprob_token_ids": [1] * 129},
        {"bad_words": ["x"] * 257}, {"allowed_token_ids": [1] * 32_769}, {"service_tier": "priority"},
        {"extra_body": {"min_tokens": 100_000}},
    ]  # fmt: skip
    for more in huge:
        path = CHAT
        inner = more.get("extra_body", more)
        assert client.refused(path, {**DIALECTS[path], **more}, fields.CODE).endswith(next(iter(inner)))
    assert client.refused("/v1/completions", {**DIALECTS["/v1/completions"], "best_of": 33}, fields.CODE) == "best_of"


def test_tools_that_the_backend_would_run_are_refused(client: Client) -> None:
    for kind in ("mcp", "web_search", "web_search_preview", "code_interpreter", "shell", "retrieval", "computer_use"):
        tool = {"type": kind, "server_url": "http://169.254.169.254/", "server_label": "x"}
        assert client.refused(CHAT, {**DIALECTS[CHAT], "tools": [tool]}, fields.CODE) == "tools[0].type"


def test_content_parts_of_tensors_and_of_others_caches_are_refused(client: Client) -> None:
    for part in (
        {"type": "image_embeds", "image_embeds": "AAAA"},
        {"type": "prompt_embeds", "prompt_embeds": "AAAA"},
        {"image_embeds": {"a": "AAAA"}},
        {"type": "image_url", "image_url": None, "uuid": "anothers"},
        {"type": "image_url", "image_url": {"url": "data:,", "content_hash": "anothers"}},
    ):
        body = {"model": "m", "messages": [{"role": "user", "content": [part]}]}
        assert client.refused(CHAT, body, fields.CODE).startswith("messages[0].content[0].")


GOOD = (
    "https://example.com/a.png", "http://93.184.215.14/a.png", "https://[2606:2800:21f:cb07::1]:8443/a",
    "data:image/png;base64,AAAA", "HTTPS://EXAMPLE.COM./a?x=http://127.0.0.1/", "https://xn--bcher-kva.example/",
)  # fmt: skip
BAD = (
    "file:///etc/passwd", "FILE:///etc/passwd", " file:///etc/passwd", "/etc/passwd", "../a.png", "a.png", "",
    "ftp://example.com/a", "gopher://example.com/", "s3://bucket/key", "//169.254.169.254/", "http:/127.0.0.1/",
    "http:127.0.0.1", "https://", "http://127.0.0.1/", "http://127.1/", "http://0/", "http://0.0.0.0:80/",
    "http://2130706433/", "http://0x7f000001/", "http://0x7f.1/", "http://0177.0.0.1/", "http://017700000001/",
    "http://127.0.0.01/", "http://10.0.0.1/", "http://172.16.3.4/", "http://192.168.1.1/", "http://100.64.0.1/",
    "http://169.254.169.254/latest/meta-data/", "http://224.0.0.1/", "http://255.255.255.255/",
    "http://240.0.0.1/", "http://[::1]/", "http://[::]/", "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:a9fe:a9fe]/", "http://[fe80::1]/", "http://[fe80::1%25eth0]/", "http://[fd00::1]/",
    "http://[ff02::1]/", "http://[64:ff9b::a9fe:a9fe]/", "http://[2002:7f00:1::]/", "http://[::127.0.0.1]/",
    "http://[2001::1]/", "http://localhost/", "http://LOCALHOST./", "http://a.localhost/", "http://redis:6379/",
    "http://db.internal/", "http://metadata.google.internal/", "http://metadata.example.com/",
    "http://printer.local/", "http://api.default.svc/", "http://127.0.0.1.nip.io/", "http://user@example.com/",
    "http://example.com@127.0.0.1/", "http://127.0.0.1\\@example.com/", "http://exam ple.com/",
    "http://example.com\t/", "http://%31%32%37.0.0.1/", "http://127。0。0。1/", "http://①②⑦.0.0.1/",
    "http://example.com:80:80/", "http://example.com..", "http://.example.com/", "http://a_b..c/",
    "https://" + "a" * 9000,
)  # fmt: skip


def test_urls_by_their_spelling() -> None:
    policy = MediaPolicy()
    for url in GOOD:
        media.check(with_image(url), policy)
    for url in BAD:
        with pytest.raises(InvalidRequest) as refused:
            media.check(with_image(url), policy)
        assert (refused.value.code, refused.value.param) == (media.CODE, "messages[0].content[0].image_url.url"), url


def test_urls_wherever_a_part_may_hold_one() -> None:
    bad, policy = "http://169.254.169.254/", MediaPolicy()
    parts: list[Json] = [
        *({"type": kind, kind: {"url": bad}} for kind in ("image_url", "video_url", "audio_url", "file_url")),
        *({"type": kind, kind: bad} for kind in ("image_url", "video_url", "audio_url", "image", "video", "audio")),
        {"image_url": {"url": bad}},
        {"type": "input_image", "image_url": bad},
        {"type": "input_file", "file_url": bad},
        {"type": "file", "file": {"file_data": bad}},
        {"type": "file", "file": {"file_data": "/etc/passwd.pdf"}},
        {"type": "input_audio", "input_audio": {"data": "file:///a", "format": "wav"}},
        {"type": "image", "source": {"type": "url", "url": bad}},
        {"type": "document", "source": {"type": "url", "url": bad}},
        {"type": "video", "video": ["data:,", bad]},
        {"type": "text", "text": "x", "image_url": {"url": bad}},
        {"type": "tool_result", "content": [{"type": "image", "source": {"type": "url", "url": bad}}]},
    ]
    for part in parts:
        for role in ("user", "assistant", "tool", "system"):
            with pytest.raises(InvalidRequest) as refused:
                media.check({"messages": [{"role": role, "content": [{"type": "text", "text": "x"}, part]}]}, policy)
            assert str(refused.value.param).startswith("messages[0].content[1]."), part
    media.check({"messages": [{"role": "user", "content": [{"type": "text", "text": bad}]}]}, policy)
    media.check({"messages": [{"role": "user", "content": f"Read {bad}"}]}, policy)


def test_urls_in_every_dialect(client: Client) -> None:
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    used = {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}]}

    def dialects(url: str) -> list[tuple[str, Json]]:
        chat, image = (
            {"type": "image_url", "image_url": {"url": url}},
            {"type": "image", "source": {"type": "url", "url": url}},
        )
        item = {"type": "input_image", "image_url": url}
        result = {"type": "tool_result", "tool_use_id": "t", "content": [image]}
        document = {"type": "document", "source": {"type": "content", "content": [image]}}
        outputs: list[Json] = [call, {"type": "function_call_output", "call_id": "c", "output": [item]}]
        return [
            (CHAT, with_image(url)),
            (CHAT, {"model": "m", "messages": [{"role": "user", "content": "s"}, {"role": "user", "content": [chat]}]}),
            ("/v1/embeddings", {"model": "m", "messages": [{"role": "user", "content": [chat]}]}),
            (RESPONSES, {"model": "m", "input": [{"role": "user", "content": [item]}]}),
            (RESPONSES, {"model": "m", "input": outputs}),
            *(
                (MESSAGES, {"model": "m", "max_tokens": 9, "messages": [*before, {"role": "user", "content": [block]}]})
                for before, block in (([], image), ([], document), ([{"role": "user", "content": "q"}, used], result))
            ),
        ]  # fmt: skip

    for path, body in dialects("http://169.254.169.254/"):
        param = client.refused(path, body, media.CODE)
        assert param.startswith({RESPONSES: "input", MESSAGES: "messages"}.get(path, "messages[")), param
    for path, body in dialects("https://example.com/a.png"):
        assert "https://example.com/a.png" in str(client.passed(path, body))


depths = st.lists(st.sampled_from(("extra_body", "chat_template_kwargs")), max_size=4)
values = st.one_of(st.none(), st.booleans(), st.integers(0, 9), st.text(max_size=5), st.just({"a": [1]}))


@settings(FEW, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=st.sampled_from(list(DIALECTS)), name=st.sampled_from(NAMES), nests=depths, value=values, late=st.booleans()
)
def test_none_of_the_list_reaches_a_backend(
    client: Client, path: str, name: str, nests: list[str], value: Any, late: bool
) -> None:
    more: Json = {name: value}
    for nest in nests:
        more = {nest: more}
    body = {**DIALECTS[path], **more} if late else {**more, **DIALECTS[path]}
    before = len(client.backend.requests)
    response = client.post(path, body)
    told = client.backend.requests[before:]
    # The gateway's own salt for the key is under the same name; nobody else's value is.
    own = {"cache_salt"} if value is None else set()
    assert all(name in own or name not in names_of(request.body) for request in told), response.text
    assert told == [] or path == MESSAGES or value is None, "what is not carried through is refused all the same"
    if not nests and value is not None:
        assert response.status_code == 400


def test_an_open_gateway_passes_all_on_unless_told_otherwise(backend: ScriptedBackend, tmp_path: Path) -> None:
    priority, url = {"priority": 1, "cache_salt": "x"}, "http://192.168.1.1/a.png"
    with RunningGateway(settings_of(backend.url), tmp_path) as gateway:
        assert gateway.post({**with_image(url), **priority}).status_code == 200
        assert backend.last["priority"] == 1 and url in str(backend.last)
    chosen = {"fields": {"deny": ["priority"]}, "media": {"hosts": ["*.example.org", "192.168.1.1"], "private": True}}
    with RunningGateway(settings_of(backend.url, **chosen), tmp_path) as gateway:
        assert gateway.post({**with_image(url), "cache_salt": "x"}).status_code == 200
        assert gateway.post({**DIALECTS[CHAT], "extra_body": {"priority": 1}}).json()["error"]["code"] == fields.CODE
        for other in ("https://example.com/", "https://example.org/", "https://a.example.org.evil.com/", "file:///a"):
            assert gateway.post(with_image(other)).json()["error"]["code"] == media.CODE, other
        assert gateway.post(with_image("https://cdn.example.org/a")).status_code == 200


def test_an_operator_allows_what_is_needed(backend: ScriptedBackend, tmp_path: Path) -> None:
    chosen = {"fields": {"allow": ["priority", "n", "tools.mcp"], "deny": ["seed"]}}
    keyed = KeyedGateway(settings_of(backend.url, **chosen), tmp_path, Clock())
    with keyed, Client(keyed, backend) as client:
        tool = {"type": "mcp", "server_label": "x", "server_url": "https://tools.example.org/"}
        told = client.passed(CHAT, {**DIALECTS[CHAT], "priority": 3, "n": 40, "tools": [tool]})
        assert (told["priority"], told["n"], told["tools"]) == (3, 40, [tool])
        assert client.refused(CHAT, {**DIALECTS[CHAT], "seed": 1}, fields.CODE) == "seed"
        assert client.refused(CHAT, {**DIALECTS[CHAT], "rid": "x"}, fields.CODE) == "rid"
        inside = {**DIALECTS[CHAT], "tools": [{**tool, "server_url": "http://10.0.0.1/"}]}
        assert client.refused(CHAT, inside, media.CODE) == "tools[0].server_url"


@pytest.mark.parametrize(
    ("chosen", "fault"),
    [
        ({"fields": {"allow": ["temperature"]}}, "deployments.d.fields.allow: 'temperature' is allowed already"),
        ({"fields": {"allow": ["rid"], "deny": ["rid"]}}, "deployments.d.fields: 'rid' is both allowed and denied"),
        ({"fields": {"permit": []}}, "deployments.d.fields.permit: unknown key."),
        ({"media": {"hosts": ["http://a"]}}, "deployments.d.media.hosts[0]: string should match pattern"),
    ],
)
def test_faults_in_the_settings_are_told(chosen: Json, fault: str) -> None:
    with pytest.raises(ConfigError, match=fault.replace("[", r"\[").replace(".", r"\.")):
        assembly.deployments(parse({**settings_of("http://localhost:1", **chosen), "access": {"required": True}}))


def test_hosts_are_public_or_not_in_one_spelling() -> None:
    same: list[Callable[[str], str]] = [str.upper, lambda host: f"{host}.", str.title]
    for host in ("example.com", "localhost", "10.0.0.1", "metadata.google.internal"):
        for spelled in same:
            assert hosts.canonical(spelled(host)) == host


def whole() -> FieldPolicy:
    policy = field_policy.guard(field_policy.FieldSettings(), field_policy.MediaSettings(), keyed=True).fields
    assert policy is not None
    return policy


def with_image(url: str) -> Json:
    part = {"type": "image_url", "image_url": {"url": url}}
    return {"model": "m", "messages": [{"role": "user", "content": [part]}]}


def names_of(value: Any) -> set[str]:
    """Every key at every depth."""
    if isinstance(value, list):
        return set().union(*map(names_of, value))
    return set(value).union(*map(names_of, value.values())) if isinstance(value, dict) else set()
