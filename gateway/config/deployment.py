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
    """The name that the backend knows it by; the deployment's own name if left out."""
    family: str
    engine: Engine | None = None
    """What serves it: the family's usual engine if left out."""
    max_context: Annotated[int, Field(ge=1)] | None = None
    retries: Annotated[int, Field(ge=0, le=8)] = 1
    """How many other replicas are asked when one cannot answer; none where the client itself is trying again."""
    fallback: Annotated[list[str], BeforeValidator(_one_or_more)] = []
    """The deployments that stand in, in this order, when none of its replicas can answer; and theirs after them."""
    api_key_env: str | None = None
    api_key_file: ConfigPath | None = None
    """Where the backend's key is, if it wants one: an environment variable or a file."""
    verify: bool | None = None
    """Whether it is asked, now and then, if it does what its family says; if left out, engines are and hosted APIs not.
    """
    fields: FieldSettings = FieldSettings()
    media: MediaSettings = MediaSettings()
    """What of a request may reach it: fields by name, and URLs that it would fetch."""
    cache_salt: bool | None = None
    """Whether each key has its own prefix cache, where the engine supports that: if left out, where keys are
    required. Else a client can find out, by how fast answers begin, what others have asked."""
    router_name: str | None = None
    """The model's name in the router's outcome data; `model` if left out."""
