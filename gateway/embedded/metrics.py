"""Prometheus metrics under vLLM's names, so that existing dashboards for vLLM work with this engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from gateway.embedded.answer import EngineAnswer

LABELS = ("model_name", "engine")
ENGINE = "0"
TOKENS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40)
PER_TOKEN = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1)
REASONS = ("stop", "length", "abort", "error")


class EngineMetrics:
    """One registry per engine. The series of every model exist from the start, with value zero."""

    def __init__(self, models: Sequence[str]) -> None:
        self._registry = CollectorRegistry()
        self._running = self._gauge("num_requests_running", "Requests whose answer is being generated.")
        self._waiting = self._gauge("num_requests_waiting", "Requests waiting for a place in the batch.")
        self._cache_usage = self._gauge("kv_cache_usage_perc", "Share of the batch's places in use, 0 to 1.")
        self._prompt = self._counter("prompt_tokens", "Prompt tokens.")
        self._cached = self._counter("prompt_tokens_cached", "Prompt tokens shared with the previous prompt.")
        self._generated = self._counter("generation_tokens", "Generated tokens.")
        self._done = self._counter("request_success", "Requests by finish reason.", "finished_reason")
        self._rejected = self._counter("admission_rejections", "Requests refused because the queue is full.", "reason")
        self._prompt_size = self._histogram("request_prompt_tokens", "Prompt tokens per request.", TOKENS)
        self._size = self._histogram("request_generation_tokens", "Generated tokens per request.", TOKENS)
        self._ttft = self._histogram("time_to_first_token_seconds", "Arrival to first token.", SECONDS)
        self._e2e = self._histogram("e2e_request_latency_seconds", "Arrival to last token.", SECONDS)
        self._queued = self._histogram("request_queue_time_seconds", "Arrival to place.", SECONDS)
        self._prefill = self._histogram("request_prefill_time_seconds", "Place to first token.", SECONDS)
        self._decode = self._histogram("request_decode_time_seconds", "First to last token.", SECONDS)
        self._inference = self._histogram("request_inference_time_seconds", "Place to last token.", SECONDS)
        self._tpot = self._histogram("request_time_per_output_token_seconds", "Decode time per token.", PER_TOKEN)
        for model in models:
            self._start(model)

    def watch(self, model: str, running: Callable[[], float], waiting: Callable[[], float], places: int) -> None:
        """Read the gauges of `model` from these functions at every scrape."""
        self._running.labels(model, ENGINE).set_function(running)
        self._waiting.labels(model, ENGINE).set_function(waiting)
        self._cache_usage.labels(model, ENGINE).set_function(lambda: running() / places)

    def finished(self, model: str, answer: EngineAnswer, reason: str) -> None:
        """Count an answer that ended; `reason` is one of REASONS."""
        times, tokens = answer.times, len(answer.ids)
        self._done.labels(model, ENGINE, reason).inc()
        self._generated.labels(model, ENGINE).inc(tokens)
        if not times.first_token:
            return
        self._prompt.labels(model, ENGINE).inc(len(answer.prompt))
        self._cached.labels(model, ENGINE).inc(answer.cached)
        self._prompt_size.labels(model, ENGINE).observe(len(answer.prompt))
        self._queued.labels(model, ENGINE).observe(times.scheduled - times.arrived)
        self._prefill.labels(model, ENGINE).observe(times.first_token - times.scheduled)
        self._ttft.labels(model, ENGINE).observe(times.first_token - times.arrived)
        if not times.finished:
            return
        self._size.labels(model, ENGINE).observe(tokens)
        self._e2e.labels(model, ENGINE).observe(times.finished - times.arrived)
        self._decode.labels(model, ENGINE).observe(times.finished - times.first_token)
        self._inference.labels(model, ENGINE).observe(times.finished - times.scheduled)
        if tokens > 1:
            self._tpot.labels(model, ENGINE).observe((times.finished - times.first_token) / (tokens - 1))

    def rejected(self, model: str) -> None:
        self._rejected.labels(model, ENGINE, "max_num_queued_reqs").inc()

    def page(self) -> bytes:
        return generate_latest(self._registry)

    def _start(self, model: str) -> None:
        for plain in (self._prompt, self._cached, self._generated):
            plain.labels(model, ENGINE)
        for reason in REASONS:
            self._done.labels(model, ENGINE, reason)
        self._rejected.labels(model, ENGINE, "max_num_queued_reqs")

    def _gauge(self, name: str, words: str) -> Gauge:
        return Gauge(f"vllm:{name}", words, LABELS, registry=self._registry)

    def _counter(self, name: str, words: str, *labels: str) -> Counter:
        return Counter(f"vllm:{name}", words, (*LABELS, *labels), registry=self._registry)

    def _histogram(self, name: str, words: str, buckets: Sequence[float]) -> Histogram:
        return Histogram(f"vllm:{name}", words, LABELS, buckets=buckets, registry=self._registry)
