"""Every metric of the gateway, one row each: the name after `thinkgate_`, the help text, the labels."""

from __future__ import annotations

from functools import partial
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
MILLISECONDS = (0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 50)
TOKENS = (0, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768)
RELOADS = (
    "router_reloads",
    "Reloads of the configuration and its routers; outcome is loaded, unchanged or refused.",
    "outcome",
)


class Instruments:
    """Each set has a registry of its own, so that one process can hold several gateways."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        counter = partial(_counter, registry)
        seconds, milliseconds, tokens = (
            partial(_histogram, registry, each) for each in (SECONDS, MILLISECONDS, TOKENS)
        )
        # How the values of several worker processes are combined.
        live, highest, every = (partial(_gauge, registry, mode) for mode in _MODES)
        self.requests = counter(
            "requests", "Requests by model, arm, HTTP status and reason for the effort.", "model arm status reason"
        )
        self.tokens = counter(
            "tokens",
            "Tokens reported by backends; kind is prompt, reasoning, answer, or probe (discarded).",
            "model kind",
        )
        self.thinking = tokens("thinking_tokens", "Thinking tokens per request.", "model")
        self.latency = seconds("latency_seconds", "Time to complete a request.", "model")
        self.ttft = seconds("ttft_seconds", "Time to first token of streams.", "model")
        self.decision = milliseconds("decision_milliseconds", "Time from parsed request to decision.")
        self.in_flight = live("in_flight", "Requests being processed now.")
        self.retries = counter("upstream_retries", "Requests retried on another replica.", "deployment")
        self.lost_connections = counter(
            "lost_connections", "Connections closed or refused by a limit; why is head, idle, full or address.", "why"
        )
        self.refused = counter(
            "refused", "Requests without a valid key; why is missing, malformed, unknown, expired or revoked.", "why"
        )
        self.queued = live("queued", "Requests waiting for capacity at a deployment.", "deployment")
        self.queue_seconds = seconds("queue_seconds", "Time that queued requests waited.", "deployment")
        self.overloaded = counter(
            "overloaded", "Requests rejected because a deployment's queue was full.", "deployment"
        )
        self.fallbacks = counter("fallbacks", "Requests sent to a fallback deployment.", "deployment")
        self.sign_in = counter(
            "upstream_sign_in_refused", "Responses that rejected the gateway's own credentials.", "deployment"
        )
        self.budgets = counter(
            "budget_answers", "Answers with a budget; verdict is within, over or unknown.", "deployment verdict"
        )
        self.exceeded = counter("budget_exceeded_tokens", "Thinking tokens beyond the granted budgets.", "deployment")
        self.probes = counter("probes", "Probes by outcome: kept, thrown_away, failed or unfinished.", "model outcome")
        self.probe_seconds = seconds("probe_seconds", "Time from sending a probe to the decision based on it.", "model")
        self.disagreements = highest(
            "family_disagreements", "1 where a deployment contradicts its family's row.", "deployment what"
        )
        self.reloads = counter(*RELOADS)
        self.routers = live("router_serving", "Processes serving this router version.", "model router")
        self.configurations = live("configuration_serving", "Processes serving this configuration.", "version")
        self.lost = every("records_lost", "Records that could not be written.")


_Mode = Literal["livesum", "livemax", "sum"]
_MODES: tuple[_Mode, ...] = ("livesum", "livemax", "sum")


def _counter(registry: CollectorRegistry, name: str, help: str, labels: str = "") -> Counter:
    return Counter(f"thinkgate_{name}", help, labels.split(), registry=registry)


def _histogram(
    registry: CollectorRegistry, buckets: tuple[float, ...], name: str, help: str, labels: str = ""
) -> Histogram:
    return Histogram(f"thinkgate_{name}", help, labels.split(), buckets=buckets, registry=registry)


def _gauge(registry: CollectorRegistry, mode: _Mode, name: str, help: str, labels: str = "") -> Gauge:
    return Gauge(f"thinkgate_{name}", help, labels.split(), registry=registry, multiprocess_mode=mode)
