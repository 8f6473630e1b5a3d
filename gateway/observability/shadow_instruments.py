"""Metrics of shadow answers: what live requests are answered again with at another effort, to learn from."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter

from gateway.core.record import Record


class ShadowInstruments:
    """These answers are not among those of clients' requests. No label is a client's word."""

    def __init__(self, registry: CollectorRegistry, namespace: str) -> None:
        def counter(name: str, help: str, *labels: str) -> Counter:
            return Counter(name, help, labels, namespace=namespace, registry=registry)

        self.answers = counter(
            "shadow_answers",
            "Shadow answers and judgements in the background; kind is shadow or judge, outcome is answered, failed or "
            "cut_short.",
            "model",
            "kind",
            "outcome",
        )
        self.skips = counter(
            "shadow_skipped",
            "Requests that were drawn for a shadow and brought nothing to learn from; why is off, a cap, busy, an "
            "obstacle or what was wrong with an answer.",
            "why",
        )
        self.agreements = counter(
            "shadow_agreements",
            "Pairs of answers by their efforts (other, same), by whether they agree (equal, different, unknown), and "
            "by what was compared.",
            "efforts",
            "verdict",
            "by",
        )
        self.judgements = counter(
            "shadow_judgements",
            "Pairs of free texts by what the judge said in both orders: first, second, tie, flipped or invalid.",
            "result",
        )
        self.tokens = counter("shadow_tokens", "Tokens that shadow answers and judges have generated.", "kind")
        self.dollars = counter("shadow_dollars", "What shadow answers and judges have cost.", "kind")

    def finished(self, record: Record) -> None:
        kind = record.reason if record.reason in ("shadow", "judge") else "shadow"
        outcome = "cut_short" if record.client_gone else "answered" if record.status == 200 else "failed"
        self.answers.labels(record.model or "", kind, outcome).inc()
        self.tokens.labels(kind).inc(record.completion_tokens or 0)
        self.dollars.labels(kind).inc(record.cost or 0.0)

    def skipped(self, why: str) -> None:
        self.skips.labels(why).inc()

    def compared(self, same_effort: bool, verdict: str, by: str) -> None:
        self.agreements.labels("same" if same_effort else "other", verdict, by).inc()

    def judged(self, result: str) -> None:
        self.judgements.labels(result).inc()
