"""The served policy is the evaluated policy: requests over HTTP, each decided as `asking.decide` decides it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import openai
import pytest
from openai.types.chat import ChatCompletionTokenLogprob

from gateway.app import make_parts
from gateway.config.defaults import embedded_settings
from gateway.routing.policies.priced import PricedSettings
from router_model.decision.probe_policy import Ask, ProbeViews, decide
from router_model.model import predict
from router_model.model.predict import Predictor, Probe
from router_model.tasks import Prompt, generate
from tests.gateway.running import RunningGateway
from tests.plain_http import NO_TLS

SEED, AT_ONCE = 77, 16
# Two tokens whose log-probabilities are no further apart than this may change places in another batch.
TIE = 0.05
DIALS = (0.0, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95, 1.0)
PAIRS = {"tiny": ("tiny", "tiny"), "tiny-split": ("tiny-instruct", "tiny-thinking")}
# Most of the traffic goes by the default, a fifth each by the other two.
ASKS: tuple[Ask, ...] = ("auto", "auto", "auto", "always", "never")
DEFAULT = "64"


@dataclass(frozen=True)
class Asked:
    """One request: what is asked of which model at which dial, and how."""

    id: str
    prompt: Prompt
    model: str
    ask: Ask
    dial: float
    stream: bool

    @property
    def name(self) -> str:
        return f"{self.model}-{self.ask}"


@dataclass(frozen=True)
class Seen:
    """What the client got of it: two headers and the usage."""

    effort: str
    reason: str
    completion_tokens: int


def requests(number: int) -> list[Asked]:
    """Wordings and families that the router has never met are among the prompts."""
    prompts = [*generate(SEED, number, split="held-out", new_phrasings=True)]
    models, n = [*PAIRS], len(ASKS)
    return [
        Asked(f"parity-{i}", one, models[i // n % 2], ASKS[i % n], DIALS[i // (2 * n) % len(DIALS)], i % 3 == 0)
        for i, one in enumerate(prompts)
    ]


@dataclass(frozen=True)
class Served:
    """Requests, what their clients got, and their records by id."""

    asked: list[Asked]
    seen: list[Seen]
    rows: dict[str, dict[str, Any]]


@pytest.fixture(scope="module", params=[200, pytest.param(1000, marks=pytest.mark.long)])
def served(request: pytest.FixtureRequest, engine: str, tmp_path_factory: pytest.TempPathFactory) -> Served:
    asked = requests(request.param)
    with gateway(engine, tmp_path_factory.mktemp("parity")) as running:
        seen = asyncio.run(send_all(running, asked))
        return Served(asked, seen, {row["request_id"]: row for row in running.records()})


def gateway(engine: str, folder: Path) -> RunningGateway:
    """The product's own configuration, once for each way to ask. However busy the machine is, no probe is late."""
    given = embedded_settings(f"{engine}/v1", folder / "records.db")
    models = {}
    for name in PAIRS:
        model = given.models[name]
        assert isinstance(model.policy, PricedSettings)
        for ask in get_args(Ask):
            policy = model.policy.model_copy(update={"probe": ask, "probe_wait_s": 600.0})
            models[f"{name}-{ask}"] = model.model_copy(update={"policy": policy})
    return RunningGateway.of(make_parts(given.model_copy(update={"models": models})))


async def send(client: openai.AsyncOpenAI, asked: Asked) -> Seen:
    more: dict[str, Any] = {"tools": asked.prompt.tools} if asked.prompt.tools else {}
    if asked.stream:
        more |= {"stream": True, "stream_options": {"include_usage": True}}
    raw = await client.chat.completions.with_raw_response.create(
        model=asked.name,
        messages=asked.prompt.messages,  # type: ignore[arg-type]
        temperature=0,
        extra_headers={"x-request-id": asked.id},
        extra_body={"thinkgate": {"dial": asked.dial}},
        **more,
    )
    answer: Any = raw.parse()
    parts = [part async for part in answer] if asked.stream else [answer]
    assert all(choice.logprobs is None for part in parts for choice in part.choices), "nobody asked for them"
    effort = raw.headers["x-thinkgate-budget"] if raw.headers["x-thinkgate-effort"] != "none" else "none"
    return Seen(effort, raw.headers["x-thinkgate-reason"], parts[-1].usage.completion_tokens)


async def send_all(gateway: RunningGateway, wanted: Sequence[Asked]) -> list[Seen]:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(client: openai.AsyncOpenAI, asked: Asked) -> Seen:
        async with gate:
            return await send(client, asked)

    async with gateway.async_sdk(timeout=600) as client:
        return await asyncio.gather(*(one(client, asked) for asked in wanted))


def evaluated(predictor: Predictor, asked: Asked, row: dict[str, Any]) -> tuple[bool, str, str]:
    """Whether a probe is asked for, the effort and the reason: what the evaluation says of the same probe."""
    heads = sorted(
        range(len(predictor.heads)), key=lambda i: (predictor.heads[i].think, predictor.heads[i].budget or np.inf)
    )
    reading = predictor.read(asked.prompt.messages, asked.prompt.tools)
    before = predictor.scores(reading)
    # Where the gateway has not asked, any probe will do: the evaluation must not ask either.
    probe = Probe(1, 0.0, 0.0) if row["probe"] is None else of_row(row)
    after = predictor.scores(reading, probe, heads[0])
    p, q = np.array(before.p_correct), np.array(after.p_correct)
    views = ProbeViews(
        p_before=p[None, heads],
        tokens_before=np.add(before.thinking_tokens, before.answer_tokens)[None, heads],
        p_after=q[None, heads],
        tokens_after=np.add(after.thinking_tokens, after.answer_tokens)[None, heads],
        outcomes=predictor.artifact.probed[heads[0]].reveals.outcomes(p[heads[0]])[None],
        ood_probability=np.array([reading.ood_probability]),
    )
    probed, choice = decide(views, predictor.price_for_dial(asked.dial, asked.ask), asked.ask)
    if asked.ask == "never" and predictor.is_ood(reading):
        return False, DEFAULT, "fallback"
    head = predictor.heads[heads[choice[0]]]
    effort = "none" if not head.think else "unlimited" if head.budget is None else str(head.budget)
    return bool(probed[0]), effort, "probe" if probed[0] else "router"


def of_row(row: dict[str, Any]) -> Probe:
    """The probe that a record tells of, as the trees read it."""
    return Probe(
        row["probe_tokens"],
        row["probe_mean"],
        row["probe_min"],
        row["probe_first_margin"],
        bool(row["probe_truncated"]),
    )


def test_requests_are_decided_as_the_evaluation_decides_them(served: Served) -> None:
    shipped = predict.load("tiny")
    predictors = {name: shipped.restricted(set(models)) for name, models in PAIRS.items()}
    counts: Counter[str] = Counter()
    for asked, seen in zip(served.asked, served.seen, strict=True):
        row = served.rows[asked.id]
        decided = row["probe"] is not None, row["decided"], row["reason"]
        assert decided == evaluated(predictors[asked.model], asked, row), (asked, row)
        assert (seen.effort, seen.reason) == decided[1:]
        assert row["probe"] in (None, "kept", "thrown_away") and row["status"] == 200
        discarded_tokens = row["probe_tokens"] if row["probe"] == "thrown_away" else 0
        assert seen.completion_tokens == row["completion_tokens"] + discarded_tokens
        counts[row["probe"] or row["reason"]] += 1
    assert all(counts[what] > len(served.asked) // 40 for what in ("kept", "thrown_away", "router", "fallback")), counts


def test_a_probe_is_the_answer_without_thinking(served: Served, engine: str) -> None:
    """What was recorded of probes is what the backend says of the same request, up to how batches round."""
    rows = served.rows
    http = openai.DefaultHttpxClient(verify=NO_TLS)
    client = openai.OpenAI(base_url=f"{engine}/v1", api_key="none", http_client=http)
    probed = [asked for asked in served.asked if rows[asked.id]["probe"] is not None and not asked.prompt.tools]
    same = 0
    with client:
        for asked in probed[:: len(probed) // 20]:
            answer = client.chat.completions.create(
                model=PAIRS[asked.model][0],
                messages=asked.prompt.messages,  # type: ignore[arg-type]
                temperature=0,
                logprobs=True,
                top_logprobs=2,
                extra_body={"chat_template_kwargs": {"enable_thinking": False}} if asked.model == "tiny" else None,
            )
            told = answer.choices[0].logprobs
            assert told is not None and told.content is not None
            probe = Probe.of([token.logprob for token in told.content])
            row = of_row(rows[asked.id])
            if probe.tokens == row.tokens and probe.mean == pytest.approx(row.mean, abs=2e-3):
                assert probe.least == pytest.approx(row.least, abs=2e-3)
                same += 1
            else:
                assert min(margin(token) for token in told.content) < TIE, "it is another answer without a reason"
    assert same > 10


def margin(token: ChatCompletionTokenLogprob) -> float:
    """How far the second candidate is behind the first."""
    first, second = sorted((other.logprob for other in token.top_logprobs), reverse=True)
    return first - second
