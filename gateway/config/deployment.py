"""The settings of a served model."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from gateway.config.family_row import Engine
from gateway.config.field_policy import FieldSettings, MediaSettings
from gateway.config.types import ConfigPath
from gateway.core.serving_limits import AdmissionLimits, Pricing, ResponseLimits, Timeouts, UsualLatency


def _one_or_more(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class DeploymentSettings(Timeouts, ResponseLimits, AdmissionLimits, UsualLatency, Pricing):
    """One served model."""

    url: Annotated[list[str], BeforeValidator(_one_or_more), Field(min_length=1)]
    model: str | None = None
    """The model's name at the backend; by default the deployment's name."""
    family: str
    engine: Engine | None = None
    """The engine that serves it; by default the family's usual one."""
    max_context: Annotated[int, Field(ge=1)] | None = None
    max_output: Annotated[int, Field(ge=1)] | None = None
    """The most tokens that it generates for one answer, reasoning included; hosted APIs refuse a higher limit. Thinking
    that the gateway decides on raises a client's limit at most to this."""
    retries: Annotated[int, Field(ge=0, le=8)] = 1
    """How many other replicas are tried when one cannot answer; none if the request is itself a client's retry."""
    fallback: Annotated[list[str], BeforeValidator(_one_or_more)] = []
    """The deployments that are tried, in this order, when none of its replicas can answer; then their own fallbacks."""
    api_key_env: str | None = None
    api_key_file: ConfigPath | None = None
    """The backend's API key, if it needs one: in an environment variable or a file."""
    verify: bool | None = None
    """Whether to verify with occasional requests that it behaves as its family says; by default engines are verified,
    and hosted APIs are not."""
    fields: FieldSettings = FieldSettings()
    media: MediaSettings = MediaSettings()
    """What requests may contain: fields by name, and URLs that the backend would fetch."""
    cache_salt: bool | None = None
    """Whether each key has its own prefix cache, if the engine supports that; by default if keys are required.
    Otherwise a client can learn from response times what others have sent."""
    router_name: str | None = None
    """The model's name in the router's outcome data; by default `model`."""
