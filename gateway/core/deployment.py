"""One served model."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.core.family import Family
from gateway.core.field_policy import OPEN, Guard


@dataclass(frozen=True, slots=True, eq=False)
class Deployment:
    """One served model. Base URLs end in the API version (`/v1`); times in seconds, prices in dollars per token.

    One object for each deployment: compared and hashed by identity.
    """

    name: str
    urls: tuple[str, ...]
    model: str
    family: Family
    max_context: int | None = None
    ttft_s: float = 0.2
    tpot_s: float = 0.02
    input_price: float = 0.0
    output_price: float = 0.0
    connect_timeout_s: float = 5.0
    first_token_timeout_s: float | None = None
    read_timeout_s: float = 600.0
    total_timeout_s: float = 3600.0
    max_answer_bytes: int = 128 * 1024 * 1024
    max_event_bytes: int = 16 * 1024 * 1024
    retries: int = 1
    max_in_flight: int | None = None
    max_queue: int = 256
    max_wait_s: float = 30.0
    batch_wait_s: float = 300.0
    batch_share: float = 0.8
    api_key: str | None = field(default=None, repr=False)
    router_name: str = ""
    verify: bool = False
    guard: Guard = OPEN
    salted: bool = False

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Dollars."""
        return prompt_tokens * self.input_price + completion_tokens * self.output_price
