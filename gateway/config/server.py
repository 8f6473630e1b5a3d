"""The settings of the client port and of the operator port."""

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
    """How deeply the JSON of a request may be nested, and about how many values it may have."""
    max_stops: Annotated[int, Field(ge=1, le=2500)] = 64
    max_stop_length: Annotated[int, Field(ge=1, le=65_536)] = 512
    """The maximum number and length of stop sequences: the answer is searched for each."""
    max_connections: Annotated[int, Field(ge=1)] = 8192
    """How many clients may be connected to one process; fewer if its limit on open files is lower. When it is reached,
    the connection that has waited longest to complete its headers is closed, or else the longest idle one."""
    max_connections_per_address: Annotated[int, Field(ge=1)] | None = None
    """How many of them from one address (for IPv6, one /64 network); by default any number."""
    trusted_proxies: Annotated[tuple[Network, ...], Field(strict=False)] = ()
    """Addresses or networks of proxies, which are exempt from that limit as they connect for many clients."""
    header_timeout_s: Annotated[float, Field(gt=0)] = 10.0
    body_timeout_s: Annotated[float, Field(gt=0)] = 60.0
    """How long the headers of a request may take to arrive, and then its body."""
    keepalive_s: Annotated[float, Field(gt=0)] = 75.0
    """How long a connection may idle: longer than the usual 60 s of load balancers, which should close first."""
    drain_s: Annotated[float, Field(ge=0)] = 110.0
    """How long running answers may continue after a stop signal."""
    reuse_port: bool = False
    """Whether another gateway may listen on the same port, such as the next release before this one stops."""
    metrics: bool | Literal["open"] | None = None
    """Whether /metrics, with totals over all keys, is also on this port; `open`: without a key even if keys are
    required. By default it is, unless keys are required and an [admin] port serves it."""
    openapi: bool | Literal["open"] = True
    """Whether /openapi.json is on this port; `open`: without a key even if keys are required."""


class AdminSettings(StrictSettings):
    """A second port, for operators: keys, their usage, and metrics."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)]
    key_env: str | None = None
    key_file: ConfigPath | None = None
    """The operator key: in an environment variable or a file."""
