"""The settings of stored data: records, API keys, responses, and signing secrets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from gateway.config.types import ConfigPath
from gateway.core.strict import StrictSettings

Redacted = Literal["user", "unit", "session", "request_id", "answer_id", "notes", "features", "label", "comment"]


class RecordSettings(StrictSettings, validate_default=True):
    path: ConfigPath = Path("thinkgate.db")
    """The SQLite database; the spool lies beside it, in `<path>.spool/`."""
    url: str | None = None
    """A PostgreSQL database instead, for gateways on several hosts: `postgresql+psycopg://user:password@host/name`.
    `path` then only says where the spool lies, which stays on this host."""
    url_env: str | None = None
    url_file: ConfigPath | None = None
    """The environment variable or the file that holds the URL, so that the configuration holds no password."""
    max_age_s: Annotated[float, Field(ge=0)] = 90 * 24 * 3600.0
    max_outcome_age_s: Annotated[float, Field(ge=0)] = 0.0
    """The maximum age of outcomes, beside that of their records, with which they go; 0: no other."""
    max_rows: Annotated[int, Field(ge=0)] = 0
    max_bytes: Annotated[int, Field(ge=0)] = 512 * 1024 * 1024
    """The maximum age, number and disk space of records; 0: unlimited. Records of refused requests are deleted first,
    then the oldest."""
    redact: list[Redacted] = []
    """What records and outcomes are kept without: `user`, `unit` and `session` (hashes), `request_id`, `answer_id`,
    `notes`, `features`; of outcomes also `label` and `comment`."""
    max_spool_bytes: Annotated[int, Field(ge=1024 * 1024)] = 64 * 1024 * 1024
    """The maximum size of the spool while the database cannot be written; further records are lost, and counted."""

    @property
    def has_url(self) -> bool:
        """Whether the database is a server's, and not the file at `path`."""
        return any(given is not None for given in (self.url, self.url_env, self.url_file))

    @property
    def spool(self) -> Path:
        return Path(f"{self.path}.spool")


class FeedbackSettings(StrictSettings):
    """Outcomes that clients report for their requests, at `/v1/feedback`."""

    accept: bool = True
    """Whether there is such a route."""
    implicit: bool = False
    """Whether signs that an answer was no use are outcomes of the metric `implicit`: an invalid schema or tool call,
    nothing before the limit of tokens, the same question again, a tool that failed."""
    max_per_minute: Annotated[int, Field(ge=1)] = 600
    """How many outcomes a key may report in a minute, for each worker; beside its limit on requests, which counts them
    as well."""


class AccessSettings(StrictSettings, validate_default=True):
    """API keys. Clients need none unless they are `required`."""

    required: bool = False
    path: ConfigPath = Path("thinkgate-keys.db")
    """The SQLite database of the keys; their usage counters are beside it, in `<path>.usage`."""
    longest_thought: Annotated[int, Field(ge=1, le=1_000_000)] = 16_384
    """The tokens that unlimited thinking may use if its key has a thinking quota."""
    longest_answer: Annotated[int, Field(ge=1, le=1_000_000)] = 4096
    """The tokens reserved for an answer without a limit of the request or the model, if its key has a limit on tokens
    or dollars."""
    overspend: Annotated[float, Field(ge=0, le=1)] = 0.1
    """By which fraction a key's or team's limit on thinking tokens may be exceeded at worst, unless it has its own.
    Running requests reserve what they are expected to think (the P90); their worst cases together stay within this."""
    overspend_dollars: Annotated[float, Field(ge=0, le=1)] = 0.0
    """The same for limits on dollars: with 0, requests reserve the most that they may cost."""
    quota_wait_s: Annotated[float, Field(ge=0, le=600)] = 5.0
    """How long a request waits, in the order of arrival, for what running requests of its key or team hold, before it
    is refused or thinks less."""
    max_parallel_requests: Annotated[int, Field(ge=0)] = 1000
    max_bytes_in_flight: Annotated[int, Field(ge=0)] = 256 * 1024 * 1024
    """The default limits of keys on concurrent requests and on the total size of their bodies, over all workers of a
    host."""

    @property
    def usage_path(self) -> Path:
        return Path(f"{self.path}.usage")

    @property
    def recent_path(self) -> Path:
        """What recent answers took, for what quotas reserve after a restart."""
        return Path(f"{self.path}.recent")


class ResponseSettings(StrictSettings):
    """The store of /v1/responses, by which later requests continue conversations. It contains them in full.

    If it is full, the least recently used response of the key that uses most is deleted first.
    """

    store: bool = True
    """Whether responses are stored; if not, every request counts as `store: false`."""
    path: ConfigPath | None = None
    """The SQLite database; by default beside the records, in `<records.path>.responses`."""
    max_items: Annotated[int, Field(ge=1)] = 10_000
    max_bytes: Annotated[int, Field(ge=1024)] = 256 * 1024 * 1024
    max_age_s: Annotated[float, Field(gt=0)] = 30 * 24 * 3600.0
    """How long a response is stored after its last use, in seconds."""
    max_share_per_key: Annotated[float, Field(gt=0, le=1)] = 0.5
    """The fraction of the store that one API key may use; without effect if keys are not required."""
    max_turns: Annotated[int, Field(ge=1)] = 1000
    """The longest conversation, in responses, that `previous_response_id` can continue."""


class SigningSettings(StrictSettings):
    """The secrets that sign and encrypt reasoning. With several, one per line, the first signs and all verify.

    Without one the gateway generates its own in `<data_dir>/signing.key` or, without `data_dir`, in
    `<records.path>.key`. Gateways on several hosts need the same secret, since a conversation may continue on any.
    """

    key_env: str | None = None
    key_file: ConfigPath | None = None
