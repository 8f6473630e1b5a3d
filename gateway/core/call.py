"""One request as the pipeline sees it, independent of its dialect."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from gateway.core.aliases import Headers
from gateway.core.efforts import Effort

BYTES_PER_TOKEN = 4


# Both mean "all completion tokens, thinking included"; the second is the newer name.
LIMIT_FIELDS = ("max_tokens", "max_completion_tokens")


class PassthroughRoute(NamedTuple):
    """The route of a passed-through request: the backend's path below its base URL, the field of the prompt, and the
    list that every answer holds.
    """

    path: str
    prompt: str
    holds: str


@dataclass(frozen=True, slots=True)
class Call:
    """One request as the pipeline sees it, independent of its dialect.

    `body` is in Chat Completions form, unless the call is a `passthrough`, and is never modified. `requested` is the
    effort the client named (None: automatic), `effort_word` the client's word for it, `effort_param` its field,
    `ceiling` the most the client allows, `dial` its price in [0,1] if given. `floor` is the least that its key gets,
    `most` the most that its key allows now, whatever the policy, `key_ceiling` the most the key ever allows, `guarded`
    whether the key limits thinking, `key` the key's id, and `note` a note for the client about these limits.
    `unlowered` is the most that its key would allow if none of its quota were used; None: the quota lowers nothing.
    `limit` is the client's limit on the completion tokens of each of its `choices`, `limit_covers_thinking` whether the
    client asks for thinking without saying how much, and counts it in; `size` the request's bytes, `unit`
    what an experiment assigns, `user` the client's name for the end user, `session` that of an agent's session,
    `client_retries` how often the client has retried, `batch` whether it can wait, `wants_effort_report` whether the
    answer's body reports on the effort, `stops_answer` whether stop sequences apply to the answer only and not to
    reasoning, `workload` the client's name for the class of its request, `expected` and `tests` what verifiers compare
    the answer with, `failed_tools` the calls whose results the client marks as errors, `unread` the fields that the
    client sent and the dialect does not forward. `answer_id` is the id of the answer, where the gateway gives it one.
    `learns` is False where the client wants nothing to be learned from it, `stores` whether it asks for the answer to
    be stored: True, False, or None where it says nothing.
    """

    request_id: str
    dialect: str
    model: str
    body: dict[str, Any]
    stream: bool = False
    wants_usage: bool = False
    requested: Effort | None = None
    effort_word: str = "auto"
    effort_param: str = "reasoning_effort"
    ceiling: Effort | None = None
    floor: Effort | None = None
    most: Effort | None = None
    guarded: bool = False
    key_ceiling: Effort | None = None
    unlowered: Effort | None = None
    key: str | None = None
    note: str = ""
    dial: float | None = None
    limit: int | None = None
    limit_covers_thinking: bool = False
    choices: int = 1
    size: int = 0
    unit: str = ""
    user: str = ""
    session: str = ""
    client_retries: int = 0
    batch: bool = False
    wants_effort_report: bool = False
    stops_answer: bool = False
    passthrough: PassthroughRoute | None = None
    workload: str = ""
    expected: Any = None
    tests: str | None = None
    learns: bool = True
    stores: bool | None = None
    failed_tools: tuple[str, ...] = ()
    answer_id: str | None = None
    unread: Collection[str] = ()
    forwarded: Headers = field(default_factory=dict)

    @property
    def echoes(self) -> bool:
        """Whether its answer repeats the prompt: then only the backend can count the model's tokens."""
        return self.passthrough is not None and bool(self.body.get("echo"))

    @property
    def prompt_tokens(self) -> int:
        """The estimated number of prompt tokens, from its bytes."""
        return self.size // BYTES_PER_TOKEN
