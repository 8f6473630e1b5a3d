"""What an operator says of a deployment beside where it is: times, places, sizes and prices. The settings have these
fields in the deployment's own table, and hand them on as they are.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gateway.core.strict import StrictSettings

PER_MILLION = 1e-6


class Timeouts(StrictSettings):
    connect_timeout_s: Annotated[float, Field(gt=0)] = 5.0
    first_token_timeout_s: Annotated[float, Field(gt=0)] | None = None
    """How long the first piece of a stream may take; as long as any other if left out."""
    read_timeout_s: Annotated[float, Field(gt=0)] = 600.0
    """How long a plain answer, or the next piece of a stream, may take."""
    total_timeout_s: Annotated[float, Field(gt=0)] = 3600.0
    """How long a whole answer may take, waiting for its turn included, and however steadily it comes."""


class ResponseLimits(StrictSettings):
    max_answer_bytes: Annotated[int, Field(ge=1024)] = 128 * 1024 * 1024
    """The largest plain answer that is taken from the backend."""
    max_event_bytes: Annotated[int, Field(ge=1024)] = 16 * 1024 * 1024
    """The largest single event of a stream."""


class AdmissionLimits(StrictSettings):
    max_in_flight: Annotated[int, Field(ge=1)] | None = None
    """How many requests it works on at once, over all workers; any number if left out. More of them wait."""
    max_queue: Annotated[int, Field(ge=0)] = 256
    """How many may wait for it, and as many batch requests besides; more are refused."""
    max_wait_s: Annotated[float, Field(gt=0)] = 30.0
    batch_wait_s: Annotated[float, Field(gt=0)] = 300.0
    """How long one may wait, and a batch request; one that would probably wait longer is refused at once."""
    batch_share: Annotated[float, Field(gt=0, le=1)] = 0.8
    """The share of the places that batch requests may have."""

    def share(self, workers: int) -> dict[str, int | None]:
        """What of it is one worker's: a place at least."""
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

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Dollars."""
        return prompt_tokens * (self.input_price * PER_MILLION) + completion_tokens * (self.output_price * PER_MILLION)
