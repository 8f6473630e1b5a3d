"""The settings of the two ports."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Literal

from pydantic import Field

from gateway.config.types import ConfigPath
from gateway.core.strict import StrictSettings

Network = Annotated[IPv4Network, Field(strict=False)] | Annotated[IPv6Network, Field(strict=False)]


class ServerSettings(StrictSettings):
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    max_body_bytes: Annotated[int, Field(ge=1024)] = 32 * 1024 * 1024
    router_deadline_s: Annotated[float, Field(gt=0)] = 0.05
    """How long to wait for a forecast."""
    write_timeout_s: Annotated[float, Field(gt=0)] = 60.0
    """How long a client may take to accept 64 KiB of an answer before it is disconnected."""
    max_header_bytes: Annotated[int, Field(ge=1024)] = 32 * 1024
    max_headers: Annotated[int, Field(ge=8)] = 100
    max_messages: Annotated[int, Field(ge=1)] = 10_000
    max_depth: Annotated[int, Field(ge=8, le=200)] = 64
    max_values: Annotated[int, Field(ge=1000)] = 500_000
    """How deep the JSON of a request may nest, and about how many values it may hold."""
    max_stops: Annotated[int, Field(ge=1, le=2500)] = 64
    max_stop_length: Annotated[int, Field(ge=1, le=65_536)] = 512
    """How many stop sequences a request may have, and how many characters each: an answer is searched for all."""
    max_connections: Annotated[int, Field(ge=1)] = 8192
    """How many clients may be connected to one process at a time; fewer, where it may not have so many files open. For
    one more, the one closes that has not sent a whole head for the longest time, or else has idled for it."""
    max_connections_per_address: Annotated[int, Field(ge=1)] | None = None
    """How many of them from one address (of IPv6, one /64); any number if left out."""
    trusted_proxies: Annotated[tuple[Network, ...], Field(strict=False)] = ()
    """Addresses or networks of proxies, whose connections are those of many clients: no limit for one address."""
    header_timeout_s: Annotated[float, Field(gt=0)] = 10.0
    body_timeout_s: Annotated[float, Field(gt=0)] = 60.0
    """How long the headers of a request may take to arrive, and then its body."""
    keepalive_s: Annotated[float, Field(gt=0)] = 75.0
    """How long a connection may idle: longer than a load balancer's usual 60 s, for closing first is its part."""
    drain_s: Annotated[float, Field(ge=0)] = 110.0
    """How long running answers may continue after a stop signal."""
    reuse_port: bool = False
    """Whether another gateway may listen on the same port: the next release, before this one is stopped."""
    metrics: bool | Literal["open"] | None = None
    """Whether /metrics is on this port too: if so, where keys are required, for whoever shows one. They are totals over
    all keys. `open`: for anybody. If left out: unless keys are required and there is an [admin] port, which has it."""
    openapi: bool | Literal["open"] = True
    """Whether /openapi.json is on this port: where keys are required, for whoever shows one. `open`: for anybody."""


class AdminSettings(StrictSettings):
    """A second port, for operators: keys, their usage, and metrics."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)]
    key_env: str | None = None
    key_file: ConfigPath | None = None
    """Where the operators' own key is: an environment variable or a file."""
