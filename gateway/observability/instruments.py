"""Every metric of the gateway, one row each: the name after `thinkgate_`, the help text, the labels."""

from __future__ import annotations

from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

NAMESPACE = "thinkgate"
SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
MILLISECONDS = (0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 50)
TOKENS = (0, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768)
DEPLOYMENT, MODEL = ("deployment",), ("model",)
RELOADS = (
    "router_reloads",
    "Reloads of the configuration and its routers; outcome is loaded, unchanged or refused.",
    ("outcome",),
)

SIGN_IN = ("upstream_sign_in_refused", "Responses that rejected the gateway's own credentials.", DEPLOYMENT)
LOST_TO_LENGTH = (
    "lost_to_length",
    "Answers that ended at their limit of tokens because thinking had used them up.",
    MODEL,
)
VERIFICATIONS = (
    "verifications",
    "Answers by what a verifier made of them: scored, undecided, failed, too_long or dropped.",
    ("source", "result"),
)


class Instruments:
    """Each set has a registry of its own, so that one process can hold several gateways."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        counter = partial(Counter, namespace=NAMESPACE, registry=registry)
        seconds, milliseconds, tokens = (
            partial(Histogram, namespace=NAMESPACE, registry=registry, buckets=each)
            for each in (SECONDS, MILLISECONDS, TOKENS)
        )
        # The modes say how the values of several worker processes are combined.
        gauge = partial(Gauge, namespace=NAMESPACE, registry=registry)
        live = partial(gauge, multiprocess_mode="livesum")
        self.requests = counter(
            "requests",
            "Requests by model, arm, HTTP status and reason for the effort.",
            ("model", "arm", "status", "reason"),
        )
        self.tokens = counter(
            "tokens",
            "Tokens reported by backends; kind is prompt, reasoning, answer, or probe (discarded).",
            ("model", "kind"),
        )
        self.thinking = tokens("thinking_tokens", "Thinking tokens per request.", MODEL)
        self.latency = seconds("latency_seconds", "Time to complete a request.", MODEL)
        self.ttft = seconds("ttft_seconds", "Time to first token of streams.", MODEL)
        self.first_answer = seconds("first_answer_seconds", "Time to the first token after the reasoning.", MODEL)
        self.decision = milliseconds("decision_milliseconds", "Time from parsed request to decision.")
        self.in_flight = live("in_flight", "Requests being processed now.")
        self.retries = counter("upstream_retries", "Requests retried on another replica.", DEPLOYMENT)
        self.lost_connections = counter(
            "lost_connections",
            "Connections closed or refused by a limit; why is head, idle, full or address.",
            ("why",),
        )
        why = "Requests without a valid key; why is missing, malformed, unknown, expired or revoked."
        self.refused = counter("refused", why, ("why",))
        self.queued = live("queued", "Requests waiting for capacity at a deployment.", DEPLOYMENT)
        self.queue_seconds = seconds("queue_seconds", "Time that queued requests waited.", DEPLOYMENT)
        self.overloaded = counter("overloaded", "Requests rejected because a deployment's queue was full.", DEPLOYMENT)
        self.fallbacks = counter("fallbacks", "Requests sent to a fallback deployment.", DEPLOYMENT)
        self.sign_in = counter(*SIGN_IN)
        self.budgets = counter(
            "budget_answers", "Answers with a budget; verdict is within, over or unknown.", ("deployment", "verdict")
        )
        self.degraded = counter("degraded", "Answers that thought less because of a quota of their key or team.", MODEL)
        self.lost_to_length = counter(*LOST_TO_LENGTH)
        self.exceeded = counter("budget_exceeded_tokens", "Thinking tokens beyond the granted budgets.", DEPLOYMENT)
        self.probes = counter(
            "probes", "Probes by outcome: kept, thrown_away, failed or unfinished.", ("model", "outcome")
        )
        self.probe_seconds = seconds("probe_seconds", "Time from sending a probe to the decision based on it.", MODEL)
        self.disagreements = gauge(
            "family_disagreements",
            "1 where a deployment contradicts its family's row.",
            ("deployment", "what"),
            multiprocess_mode="livemax",
        )
        self.verifications = counter(*VERIFICATIONS)
        self.reloads = counter(*RELOADS)
        self.routers = live("router_serving", "Processes serving this router version.", ("model", "router"))
        self.configurations = live("configuration_serving", "Processes serving this configuration.", ("version",))
        self.lost = gauge("records_lost", "Records that could not be written.", multiprocess_mode="sum")
