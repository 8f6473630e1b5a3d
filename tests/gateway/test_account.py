"""The gateway's own account of a request, in the body of the answer: for those who ask, and for nobody else."""

from __future__ import annotations

from typing import Any

import pytest

from tests.gateway.running import RunningGateway
from tests.gateway.scripted import ANSWER, ScriptedBackend

ASK: dict[str, Any] = {"model": "merged", "messages": [{"role": "user", "content": "What is 2+2?"}]}
ASKING: list[dict[str, Any]] = [
    {"extra_body": {"include": ["thinkgate"]}},
    {"extra_headers": {"x-thinkgate-include": "thinkgate"}},
]


@pytest.mark.parametrize("asking", ASKING)
@pytest.mark.parametrize("stream", [False, True])
def test_the_four_efforts_are_told_apart(
    scripted_gateway: RunningGateway, backend: ScriptedBackend, asking: dict[str, Any], stream: bool
) -> None:
    with scripted_gateway.sdk() as client:
        answer: Any = client.chat.completions.create(
            **ASK, reasoning_effort="high", max_tokens=300, stream=stream, **asking
        )
        account = [*answer][-1].thinkgate if stream else answer.thinkgate
    told = {name: account[name] for name in ("requested", "decided", "applied", "used", "reason", "deployment")}
    assert told == {
        "requested": "high",
        "decided": "128",
        "applied": "44",
        "used": 5,
        "reason": "client",
        "deployment": "hybrid",
    }
    assert account["notes"][0].startswith("budget cut from 128 to 44")
    assert "include" not in backend.last, "that is between the client and the gateway"


def test_nobody_else_gets_it(scripted_gateway: RunningGateway, backend: ScriptedBackend) -> None:
    assert scripted_gateway.post({**ASK, "include": ["something.else"]}).json() == {**ANSWER, "model": "merged"}
    assert backend.last["include"] == ["something.else"]
    assert "thinkgate" not in scripted_gateway.post({**ASK, "stream": True}).text


def test_what_cannot_be_told_is_said(scripted_gateway: RunningGateway) -> None:
    account = scripted_gateway.post({**ASK, "model": "plain", "reasoning_effort": "low", "include": ["thinkgate"]})
    assert account.json()["thinkgate"]["applied"] is None
    wrong = scripted_gateway.post({**ASK, "include": "thinkgate"})
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "include")
