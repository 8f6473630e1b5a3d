"""The settings of stored data: records, API keys, responses, and signing secrets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from gateway.config.types import ConfigPath
from gateway.core.strict import StrictSettings


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
    max_rows: Annotated[int, Field(ge=0)] = 0
    max_bytes: Annotated[int, Field(ge=0)] = 512 * 1024 * 1024
    """How long records are kept, how many, and how much of the disk they may take; 0: without end. The oldest go first,
    and before them those of requests that were refused."""
    max_spool_bytes: Annotated[int, Field(ge=1024 * 1024)] = 64 * 1024 * 1024
    """How much may wait to reach the database while it cannot be written; what comes beyond that is lost, and counted.
    """

    @property
    def has_url(self) -> bool:
        """Whether the database is a server's, and not the file at `path`."""
        return any(given is not None for given in (self.url, self.url_env, self.url_file))

    @property
    def spool(self) -> Path:
        return Path(f"{self.path}.spool")


class AccessSettings(StrictSettings, validate_default=True):
    """API keys. Clients need none unless they are `required`."""

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

    @property
    def usage_path(self) -> Path:
        return Path(f"{self.path}.usage")


class ResponseSettings(StrictSettings):
    """What is kept of /v1/responses, so that a later request can go on from it: as much as there is room for.

    What was not used for the longest time goes first, of the key that has most. Conversations are in it, word for word.
    """

    store: bool = True
    """Whether responses are stored; if not, every request counts as `store: false`."""
    path: ConfigPath | None = None
    """The SQLite database; beside the records, in `<records.path>.responses`, if left out."""
    max_items: Annotated[int, Field(ge=1)] = 10_000
    max_bytes: Annotated[int, Field(ge=1024)] = 256 * 1024 * 1024
    max_age_s: Annotated[float, Field(gt=0)] = 30 * 24 * 3600.0
    """How long a response is stored after its last use, in seconds."""
    max_share_per_key: Annotated[float, Field(gt=0, le=1)] = 0.5
    """How much of that room one API key may have; where none is asked for, nobody has a share."""
    max_turns: Annotated[int, Field(ge=1)] = 1000
    """The longest conversation, in responses, that is taken up again by `previous_response_id`."""


class SigningSettings(StrictSettings):
    """The secrets that thoughts are signed and sealed with: of several, one a line, the first one signs, all verify.

    Without one the gateway makes its own and keeps it in `<data_dir>/signing.key`, or where that is not set in
    `<records.path>.key`. Gateways on several hosts need a common one: a conversation may come back to any of them.
    """

    key_env: str | None = None
    key_file: ConfigPath | None = None
