"""Every knob, typed, in one TOML file. An unknown key stops the start-up with the nearest valid name."""

from __future__ import annotations

import tomllib
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from gateway.config.family_row import Engine, FamilyRow
from gateway.config.field_policy import FieldSettings, MediaSettings
from gateway.config.one_of import OneOf
from gateway.config.problems import faults
from gateway.config.renamed import with_new_names
from gateway.config.types import ConfigPath, RouterName, folder_of
from gateway.core.errors import ConfigError
from gateway.core.strict import StrictSettings, Tokens
from gateway.routing.policies.client import ClientSettings
from gateway.routing.policies.protocol import PolicySettings
from gateway.routing.policies.registry import POLICIES

Network = Annotated[IPv4Network, Field(strict=False)] | Annotated[IPv6Network, Field(strict=False)]


def _one_or_more(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class ServerSettings(StrictSettings):
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    max_body_bytes: Annotated[int, Field(ge=1024)] = 32 * 1024 * 1024
    router_deadline_s: Annotated[float, Field(gt=0)] = 0.05
    """A forecast that takes longer is not waited for."""
    write_timeout_s: Annotated[float, Field(gt=0)] = 60.0
    """How long a client may take to accept 64 KiB of an answer; then it is cut off, and the backend is let go."""
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
    """How long running answers may go on after the gateway was told to stop."""
    reuse_port: bool = False
    """Whether another gateway may listen on the same port: the next release, before this one is stopped."""
    metrics: bool | Literal["open"] | None = None
    """Whether /metrics is on this port too: if so, where keys are required, for whoever shows one. They are totals over
    all keys. `open`: for anybody. If left out: unless keys are required and there is an [admin] port, which has it."""
    openapi: bool | Literal["open"] = True
    """Whether /openapi.json is on this port: where keys are required, for whoever shows one. `open`: for anybody."""


class RecordSettings(StrictSettings, validate_default=True):
    path: ConfigPath = Path("thinkgate.db")
    """The SQLite database; the spool lies beside it, in `<path>.spool/`."""
    max_age_s: Annotated[float, Field(ge=0)] = 90 * 24 * 3600.0
    max_rows: Annotated[int, Field(ge=0)] = 0
    max_bytes: Annotated[int, Field(ge=0)] = 512 * 1024 * 1024
    """How long records are kept, how many, and how much of the disk they may take; 0: without end. The oldest go first,
    and before them those of requests that were refused."""
    max_spool_bytes: Annotated[int, Field(ge=1024 * 1024)] = 64 * 1024 * 1024
    """How much may wait to reach the database while it cannot be written; what comes beyond that is lost, and counted.
    """


class AccessSettings(StrictSettings, validate_default=True):
    """API keys. Nobody needs one unless they are `required`."""

    required: bool = False
    path: ConfigPath = Path("thinkgate-keys.db")
    """The SQLite database of the keys; what they have used is counted beside it, in `<path>.usage`."""
    longest_thought: Annotated[int, Field(ge=1, le=1_000_000)] = 16_384
    """What an unlimited thought may take, in tokens, when its key has a quota of them."""
    longest_answer: Annotated[int, Field(ge=1, le=1_000_000)] = 4096
    """What an answer counts as, in tokens, until it is there, when its key has a limit of tokens or dollars and neither
    the request nor the model has one on the answer."""
    max_parallel_requests: Annotated[int, Field(ge=0)] = 1000
    max_bytes_in_flight: Annotated[int, Field(ge=0)] = 256 * 1024 * 1024
    """How many requests a key may have under way at once, and how large their bodies may be together, over all workers
    of a host; a key's own limits stand instead."""


class AdminSettings(StrictSettings):
    """A second port, for operators: keys, their usage, and metrics."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)]
    key_env: str | None = None
    key_file: ConfigPath | None = None
    """Where the operators' own key is: an environment variable or a file."""


class ResponseSettings(StrictSettings):
    """What is kept of /v1/responses, so that a later request can go on from it: as much as there is room for.

    What was not used for the longest time goes first, of the key that has most. Conversations are in it, word for word.
    """

    store: bool = True
    """Whether anything is kept: if not, every response is as if its request had said `store: false`."""
    path: ConfigPath | None = None
    """The SQLite database; beside the records, in `<records.path>.responses`, if left out."""
    max_items: Annotated[int, Field(ge=1)] = 10_000
    max_bytes: Annotated[int, Field(ge=1024)] = 256 * 1024 * 1024
    max_age_s: Annotated[float, Field(gt=0)] = 30 * 24 * 3600.0
    """How long one is kept after it was last used, in seconds."""
    max_share_per_key: Annotated[float, Field(gt=0, le=1)] = 0.5
    """How much of that room one API key may have; where none is asked for, nobody has a share."""
    max_turns: Annotated[int, Field(ge=1)] = 1000
    """The longest conversation, in responses, that is taken up again by `previous_response_id`."""


class SigningSettings(StrictSettings):
    """The secrets that thoughts are signed and sealed with: of several, one a line, the first one signs, all verify.

    Without one the gateway makes its own and keeps it beside the records, in `<records.path>.key`. Gateways on several
    hosts need a common one: a conversation may come back to any of them.
    """

    key_env: str | None = None
    key_file: ConfigPath | None = None


class DeploymentSettings(StrictSettings):
    """One served model."""

    url: Annotated[list[str], BeforeValidator(_one_or_more), Field(min_length=1)]
    model: str | None = None
    """The name that the backend knows it by; the deployment's own name if left out."""
    family: str
    engine: Engine | None = None
    """What serves it: the family's usual engine if left out."""
    max_context: Annotated[int, Field(ge=1)] | None = None
    ttft_s: Annotated[float, Field(ge=0)] = 0.2
    tpot_s: Annotated[float, Field(ge=0)] = 0.02
    """Time to first token and per further token, in seconds, until measured."""
    input_price: Annotated[float, Field(ge=0)] = 0.0
    output_price: Annotated[float, Field(ge=0)] = 0.0
    """Dollars per million tokens."""
    connect_timeout_s: Annotated[float, Field(gt=0)] = 5.0
    first_token_timeout_s: Annotated[float, Field(gt=0)] | None = None
    """How long the first piece of a stream may take; as long as any other if left out."""
    read_timeout_s: Annotated[float, Field(gt=0)] = 600.0
    """How long a plain answer, or the next piece of a stream, may take."""
    total_timeout_s: Annotated[float, Field(gt=0)] = 3600.0
    """How long a whole answer may take, waiting for its turn included, and however steadily it comes."""
    max_answer_bytes: Annotated[int, Field(ge=1024)] = 128 * 1024 * 1024
    """The largest plain answer that is taken from the backend."""
    max_event_bytes: Annotated[int, Field(ge=1024)] = 16 * 1024 * 1024
    """The largest single event of a stream."""
    retries: Annotated[int, Field(ge=0, le=8)] = 1
    """How many other replicas are asked when one cannot answer; none where the client itself is trying again."""
    max_in_flight: Annotated[int, Field(ge=1)] | None = None
    """How many requests it works on at once, over all workers; any number if left out. More of them wait."""
    max_queue: Annotated[int, Field(ge=0)] = 256
    """How many may wait for it, and as many batch requests besides; more are refused."""
    max_wait_s: Annotated[float, Field(gt=0)] = 30.0
    batch_wait_s: Annotated[float, Field(gt=0)] = 300.0
    """How long one may wait, and a batch request; one that would probably wait longer is refused at once."""
    batch_share: Annotated[float, Field(gt=0, le=1)] = 0.8
    """The share of the places that batch requests may have."""
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
    """Whether each key has a prefix cache of its own, where the engine can be told so: if left out, where keys are
    required. Else a client can find out, by how fast answers begin, what others have asked."""
    router_name: str | None = None
    """The model's name in the router's outcome data; `model` if left out."""


class BackendNames(StrictSettings):
    """Where each effort goes: `deployment` for all of them (merged), or `none` and `think` apart (split)."""

    deployment: str | None = None
    none: str | None = None
    think: str | None = None

    @model_validator(mode="after")
    def _one_way(self) -> BackendNames:
        if bool(self.deployment) == bool(self.none or self.think):
            raise ValueError("name either `deployment` (merged) or `none` and `think` (split)")
        return self


class ArmSettings(BackendNames):
    weight: Annotated[float, Field(gt=0)] = 1.0


class ModelSettings(StrictSettings):
    """A public name: backends and a policy. Several models may share deployments under different policies."""

    deployment: str | None = None
    none: str | None = None
    think: str | None = None
    arms: dict[str, ArmSettings] = {}
    """An experiment: several backends, shared out by weight. Stands instead of the three above."""
    policy: Annotated[PolicySettings, OneOf(POLICIES)] = ClientSettings()
    router: RouterName = "none"
    """`none`, `constant`, or a router artifact by name or path."""
    levels: dict[str, Tokens | Literal["unlimited"]] = {}
    answer_allowance: Annotated[int, Field(ge=0)] = 256
    """Tokens of the client's limit that thinking may not touch."""
    strict: bool | Literal["off"] = "off"
    """Which efforts that a client names are refused where a family cannot be told them: all (true), only none (`off`),
    or not one (false). What is not refused is rounded to the nearest that is legal, and the answer says so."""
    max_answer_tokens: Annotated[int, Field(ge=1)] | None = None
    """The longest answer when the client sets no limit; left to the backend if left out."""

    @model_validator(mode="after")
    def _backends(self) -> ModelSettings:
        named = bool(self.deployment or self.none or self.think)
        if named == bool(self.arms):
            raise ValueError("name `deployment` (merged), `none` and `think` (split), or `arms` (an experiment)")
        if named:
            BackendNames(deployment=self.deployment, none=self.none, think=self.think)
        return self

    @model_validator(mode="after")
    def _has_what_its_policy_needs(self) -> ModelSettings:
        if self.router == "none" and self.policy.needs_router:
            raise ValueError(
                f"a {self.policy.kind_name} policy decides by a router's forecasts, and there is no router: name one, "
                'such as `router = "prior"`, or choose `policy = { kind = "client" }`'
            )
        return self


class Settings(StrictSettings):
    server: ServerSettings = ServerSettings()
    records: RecordSettings = RecordSettings()
    access: AccessSettings = AccessSettings()
    admin: AdminSettings | None = None
    responses: ResponseSettings = ResponseSettings()
    signing: SigningSettings = SigningSettings()
    families: dict[str, FamilyRow] = {}
    """Rows beside those of the shipped table; a row of a name that is there overrides it cell by cell."""
    deployments: Annotated[dict[str, DeploymentSettings], Field(min_length=1)]
    models: Annotated[dict[str, ModelSettings], Field(min_length=1)]

    @property
    def metrics_on_clients_port(self) -> bool | Literal["open"]:
        given = self.server.metrics
        return not (self.access.required and self.admin) if given is None else given

    @property
    def responses_path(self) -> Path:
        return self.responses.path or Path(f"{self.records.path}.responses")


def load(path: Path) -> Settings:
    """Read a TOML file. ConfigError: it is missing, no TOML, or says something the gateway does not know."""
    try:
        # Some editors begin a file with a byte order mark, which TOML does not know.
        table = tomllib.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror or error}"]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([f"{path}: not valid TOML: it is no UTF-8 text ({error.reason})"]) from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError([f"{path}: not valid TOML: {error}"]) from error
    return parse(table, folder_of(path))


def share(settings: Settings, workers: int) -> Settings:
    """One worker's part of what holds for all of them: the places of each deployment, but one at least."""
    parts = {
        name: given.model_copy(
            update={
                "max_in_flight": None if given.max_in_flight is None else max(1, given.max_in_flight // workers),
                "max_queue": -(-given.max_queue // workers),
            }
        )
        for name, given in settings.deployments.items()
    }
    return settings.model_copy(update={"deployments": parts})


def override(
    settings: Settings, *, host: str | None = None, port: int | None = None, records: Path | None = None
) -> Settings:
    """The same settings with what the command line said instead."""
    server = {key: value for key, value in (("host", host), ("port", port)) if value is not None}
    return settings.model_copy(
        update={
            "server": settings.server.model_copy(update=server),
            "records": settings.records.model_copy(update={} if records is None else {"path": records}),
        }
    )


def parse(table: dict[str, Any], folder: Path | None = None) -> Settings:
    """Check a table, whose relative paths begin at `folder`; at the working directory if there is none.

    ConfigError names every fault: where it is, what is wrong, and the nearest valid name.
    """
    try:
        # Their defaults are paths, too.
        return Settings.model_validate({"records": {}, "access": {}, **with_new_names(table)}, context=folder)
    except ValidationError as error:
        raise ConfigError(faults(error, Settings)) from error
