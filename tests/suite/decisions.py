"""What the gateway decides for the suite's requests: `POST /v1/decide` in this process, no model is called."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.gateway.running import RunningGateway
from tests.suite.figures import Figures, figures
from tests.suite.views import Case


class Decided(NamedTuple):
    """`size`: thinking tokens, infinity for unlimited, 0 for none. `gain`: the forecast P(correct) of the strongest
    effort minus that of none; NaN where there is no forecast."""

    case: Case
    effort: str
    size: float
    reason: str
    gain: float


def settings(router: str, dial: float) -> dict[str, Any]:
    """As in the README: one hybrid deployment that the router does not know by name."""
    hybrid = {"url": "http://127.0.0.1:9/v1", "model": "Qwen/Qwen3-8B", "family": "qwen3"}
    model = {"deployment": "hybrid", "router": router, "policy": {"kind": "dial", "dial": dial}}
    return {"deployments": {"hybrid": hybrid}, "models": {"assistant": model}}


@contextmanager
def gateway(router: str, dial: float, folder: Path) -> Iterator[RunningGateway]:
    with RunningGateway(settings(router, dial), folder) as running:
        yield running


def decide(running: RunningGateway, cases: Iterable[Case]) -> list[Decided]:
    return [_decided(running, case) for case in cases]


def _decided(running: RunningGateway, case: Case) -> Decided:
    body: dict[str, Any] = {"model": "assistant", "messages": case.messages}
    answer = running.post(body | ({"tools": case.tools} if case.tools else {}), "/v1/decide")
    assert answer.status_code == 200, f"{case.id} {case.around}: {answer.text}"
    shown = answer.json()
    decision, right = shown["decision"], {one["effort"]: one["p_correct"] for one in shown["efforts"]}
    size = float("inf") if decision["budget"] is None else float(decision["budget"])
    gain = right[[*right][-1]] - right["none"] if "none" in right else float("nan")
    return Decided(case, decision["effort"], size, decision["reason"], gain)


def judged(decided: list[Decided]) -> Figures:
    return figures(
        [one.case.difficulty for one in decided],
        [one.size for one in decided],
        [one.gain for one in decided],
        [one.reason == "fallback" for one in decided],
    )
