"""Settings of a deployment that are used as they are: timeouts, size limits, admission, latency and prices."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gateway.core.strict import StrictSettings

PER_MILLION = 1e-6


class Timeouts(StrictSettings):
    connect_timeout_s: Annotated[float, Field(gt=0)] = 5.0
    first_token_timeout_s: Annotated[float, Field(gt=0)] | None = None
    """The time limit for the first chunk of a stream; by default `read_timeout_s`."""
    read_timeout_s: Annotated[float, Field(gt=0)] = 600.0
    """The time limit for a complete answer, or for the next chunk of a stream."""
    total_timeout_s: Annotated[float, Field(gt=0)] = 3600.0
    """The total time limit for an answer, including its time in the queue."""


class ResponseLimits(StrictSettings):
    max_answer_bytes: Annotated[int, Field(ge=1024)] = 128 * 1024 * 1024
    """The largest complete answer that is accepted from the backend."""
    max_event_bytes: Annotated[int, Field(ge=1024)] = 16 * 1024 * 1024
    """The largest single event of a stream."""


class AdmissionLimits(StrictSettings):
    max_in_flight: Annotated[int, Field(ge=1)] | None = None
    """The maximum number of concurrent requests, over all workers; by default unlimited. Further ones are queued."""
    max_queue: Annotated[int, Field(ge=0)] = 256
    """The length of its queue, and of a separate one for batch requests; further requests are refused."""
    max_wait_s: Annotated[float, Field(gt=0)] = 30.0
    batch_wait_s: Annotated[float, Field(gt=0)] = 300.0
    """The longest wait in the queue, and that of batch requests; refused at once if the expected wait is longer."""
    batch_share: Annotated[float, Field(gt=0, le=1)] = 0.8
    """The share of `max_in_flight` that batch requests may use."""

    def share(self, workers: int) -> dict[str, int | None]:
        """One worker's share of the limits; at least one concurrent request."""
        places = None if self.max_in_flight is None else max(1, self.max_in_flight // workers)
        return {"max_in_flight": places, "max_queue": -(-self.max_queue // workers)}


class UsualLatency(StrictSettings):
    """Time to first token and per further token, in seconds, until measured."""

    ttft_s: Annotated[float, Field(ge=0)] = 0.2
    tpot_s: Annotated[float, Field(ge=0)] = 0.02


class Pricing(StrictSettings):
    """Dollars per million tokens."""

    input_price: Annotated[float, Field(ge=0)] = 0.0
    output_price: Annotated[float, Field(ge=0)] = 0.0
    cached_input_price: Annotated[float, Field(ge=0)] | None = None
    """Of prompt tokens that the backend reports as read from its prefix cache; `input_price` if left out."""

    def cost(self, prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0) -> float:
        """Dollars; `cached_tokens` are those of the prompt that came from a cache."""
        cost = prompt_tokens * (self.input_price * PER_MILLION) + completion_tokens * (self.output_price * PER_MILLION)
        if self.cached_input_price is None or not cached_tokens:
            return cost
        cheaper = (self.input_price - self.cached_input_price) * PER_MILLION
        return cost - min(cached_tokens, prompt_tokens) * cheaper
