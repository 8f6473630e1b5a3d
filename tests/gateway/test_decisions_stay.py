"""Decisions of the routers that ship, under all policies: a change that is not meant to change them does not.

Where one is meant to, look at what differs, write it into the changelog, and put the new digest here.
"""

from __future__ import annotations

from collections import Counter
from hashlib import sha256
from random import Random
from typing import Any

import orjson

from gateway import assembly
from gateway.api.chat.request import read_call
from gateway.api.dialect import ParsedRequest
from gateway.auth.principal import ANONYMOUS
from gateway.backends.latency import latency_models_of
from gateway.config.settings import parse
from gateway.core.efforts import words
from gateway.core.errors import GatewayError
from gateway.core.probe import Probe
from gateway.families.compiler import compile_plan
from gateway.routing.experiments.assignment import assign

REQUESTS = 2_000
DIGEST = "88df29a927c91038d0df4c7bdbd57b80aee69da2370f3db0ccdf774f3f517850"

LEVELS = {"minimal": 16, "low": 32, "medium": 64, "high": 128, "xhigh": 256, "max": "unlimited"}
COMMON = {"levels": LEVELS, "answer_allowance": 64}
BUDGETS = {"budgets": [8, 16, 32, 64, 128, 256]}
DIAL = {"kind": "dial", "dial": 0.65, "default_effort": "medium", **BUDGETS}
SPLIT = {"none": "instruct", "think": "thinking", "weight": 2}
SETTINGS = {
    "records": {},
    "deployments": {
        name: {"url": "http://127.0.0.1:9/v1", "family": family, "router_name": known, "max_context": 2048}
        for name, family, known in (
            ("merged", "qwen3", "tiny"),
            ("instruct", "qwen3-2507", "tiny-instruct"),
            ("thinking", "qwen3-2507", "tiny-thinking"),
        )
    },
    "models": {
        "dial": {"deployment": "merged", "router": "tiny", "policy": DIAL, **COMMON},
        "waits": {
            "deployment": "merged",
            "router": "tiny",
            "policy": {**DIAL, "dial": 0.8, "price_of_waiting": 0.01, "probe": "always"},
            **COMMON,
        },
        "arms": {
            "arms": {"merged": {"deployment": "merged"}, "split": SPLIT},
            "router": "tiny",
            "policy": {**DIAL, "probe": "never"},
            **COMMON,
        },
        "prior": {"deployment": "merged", "router": "prior", "policy": DIAL, **COMMON},
        "constant": {"deployment": "merged", "router": "constant", "policy": DIAL, **COMMON},
        "contract": {
            "deployment": "merged",
            "router": "tiny",
            "policy": {"kind": "contract", "max_regret": 0.05, "confidence": 0.9, **BUDGETS},
            **COMMON,
        },
        "client": {"deployment": "merged", "router": "none", "policy": {"kind": "client", **BUDGETS}, **COMMON},
        "fixed": {"deployment": "merged", "router": "none", "policy": {"kind": "fixed", "effort": 64}, **COMMON},
    },
}
OPENINGS = (
    "What is",
    "Compute",
    "Prove that",
    "Translate into French:",
    "Write a haiku about",
    "Explain",
    "Sum up",
    "Why",
)
THINGS = ("a prime", "7 * 8", "the sea", "recursion", "x^2 + 1 = 0", "the year 1848", "a list of names", "sorting", "9")
WORDS = ("and", "then", "because", "of", "with 12 apples", "in Paris", "def f(n): return n", "\n", "step by step", "?")
EFFORTS: tuple[dict[str, Any], ...] = (
    {"reasoning_effort": "low"},
    {"reasoning_effort": "none"},
    {"reasoning_effort": "max"},
    {"thinking_token_budget": 100},
    {"chat_template_kwargs": {"enable_thinking": True}},
    {"reasoning_effort": "auto", "thinking_token_budget": 40},
)


async def test_decisions_are_those_of_the_last_release() -> None:
    rng, lines, kinds = Random(20261130), [], Counter[str]()
    settings = parse(SETTINGS)
    deployments = assembly.deployments(settings)
    catalogue = assembly.catalogue(settings, deployments, latency_models_of(deployments.values()))
    for number in range(REQUESTS):
        body = request(rng)
        raw = orjson.dumps(body)
        call = read_call(ParsedRequest(body, len(raw), {}, f"r{number}", ANONYMOUS), catalogue, 100)
        model = catalogue.find(call.model)
        arm = assign(call.unit, model.name, {one: one.weight for one in model.arms})
        forecast = await model.forecast(call, arm, 9.0)
        probe = Probe([-rng.expovariate(4) for _ in range(rng.randint(1, 40))], rng.random() * 8)
        for _ in range(2):
            decision = model.policy.decide(call, forecast)
            try:
                plan = compile_plan(call, decision.effort, arm, model.terms, forecast)
                sent = f"{plan.deployment.name} {plan.words} {plan.notes}"
            except GatewayError as error:
                sent = f"{error.code}"
            prices = f"{decision.prices.token:.9g} {decision.prices.second:.9g} {decision.propensity:.9g}"
            lines.append(f"{model.name} {arm.name} {words(decision.effort)} {decision.reason} {prices} {sent}")
            kinds[decision.reason] += 1
            if decision.probe_options is None or forecast is None:
                break
            forecast = model.reconsider(call, arm, forecast, probe)
    assert min(kinds[reason] for reason in ("client", "router", "probe", "policy")) > REQUESTS / 20, kinds
    assert sha256("\n".join(lines).encode()).hexdigest() == DIGEST


def request(rng: Random) -> dict[str, Any]:
    """A chat as clients send it: of one turn or a few, some with tools, a limit, an effort or a dial position."""
    model = rng.choice(list(SETTINGS["models"]))
    turns = rng.choice((1, 1, 1, 3))
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": "assistant" if turn % 2 else "user", "content": text(rng)} for turn in range(turns)],
        "user": f"u{rng.randrange(300)}",
    }
    if rng.random() < 0.1:
        body["tools"] = [{"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}]
    if rng.random() < 0.3:
        body["max_tokens"] = rng.choice((120, 300, 1000))
    if rng.random() < 0.2:
        body |= rng.choice(EFFORTS)
    elif model in ("dial", "waits", "arms", "prior", "constant") and rng.random() < 0.5:
        body["thinkgate"] = {"dial": round(rng.random(), 3)}
    return body


def text(rng: Random) -> str:
    more = [rng.choice(WORDS) for _ in range(int(rng.paretovariate(0.8)) % 60)]
    return " ".join([rng.choice(OPENINGS), rng.choice(THINGS), *more])
