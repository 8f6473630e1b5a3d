"""One request as the pipeline sees it, whatever dialect it came in."""

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
    """What a request is that goes on as it came, nothing being decided about it: the backend's path after its base URL,
    the field that the prompt is in, and the list that every answer has.
    """

    path: str
    prompt: str
    holds: str


@dataclass(frozen=True, slots=True)
class Call:
    """One request as the pipeline sees it, whatever dialect it came in.

    `body` is in Chat Completions form, unless the call is `passed` on, and is never changed. `requested` is the effort
    the client named (None: decide for me), `asked` the client's own word for it, `named_in` the field that it stood in,
    `ceiling` the most it allows, `dial` its price in [0,1] if it gave one. `most` is the most that its key allows,
    whatever the policy says, `key_ceiling` the most that it ever does, `guarded` whether it has any limit on thinking,
    and `key` its id; `note` what the client is to know of that. `limit` is the client's limit on all completion
    tokens of each of its `choices`, `size` the request's bytes, `unit` what an experiment assigns, `user` the end user
    as the client names him, `tries` how often the client has tried before, `batch` whether it can wait, `wants_account`
    whether the answer is to say in its body what was made of the effort, `stops_answer` whether its stop sequences are
    for the answer alone and not the thought, and
    `unread` the names of fields that the client sent and the dialect does not carry through.
    """

    request_id: str
    dialect: str
    model: str
    body: dict[str, Any]
    stream: bool = False
    wants_usage: bool = False
    requested: Effort | None = None
    asked: str = "auto"
    named_in: str = "reasoning_effort"
    ceiling: Effort | None = None
    most: Effort | None = None
    guarded: bool = False
    key_ceiling: Effort | None = None
    key: str | None = None
    note: str = ""
    dial: float | None = None
    limit: int | None = None
    choices: int = 1
    size: int = 0
    unit: str = ""
    user: str = ""
    tries: int = 0
    batch: bool = False
    wants_effort_report: bool = False
    stops_answer: bool = False
    passed: PassthroughRoute | None = None
    unread: Collection[str] = ()
    forwarded: Headers = field(default_factory=dict)

    @property
    def echoes(self) -> bool:
        """Whether its answer has the prompt in it: how much of that is the model's, the backend alone can tell."""
        return self.passed is not None and bool(self.body.get("echo"))

    @property
    def prompt_tokens(self) -> int:
        """About how many tokens the prompt has, going by its bytes."""
        return self.size // BYTES_PER_TOKEN
