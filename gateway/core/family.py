"""A model family: how thinking is controlled, as a row of data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from gateway.core.aliases import JsonObject
from gateway.core.reasoning import REASONING


class KnownIssue(NamedTuple):
    """A known issue of an engine with a family: when it occurs, what happens, the workaround, and the source."""

    when: str
    what: str
    way_round: str
    source: str


@dataclass(frozen=True, slots=True)
class EngineTraits:
    """The properties of an engine that hold for every family that it serves.

    `is_open`: it serves any model with public weights; else it is the API of a family's maker, where requests cost
    money. `counts_prompts`: `/tokenize` counts a conversation; `counts_with_effort`: it accepts an effort as requests
    do. `hide_field` hides reasoning from the answer when false. `stops_in_thoughts`: stop sequences end reasoning, too.
    `load_metrics` are the names of the metrics that say how busy it is: `running`, `waiting` and `cache`.
    """

    is_open: bool = True
    counts_prompts: bool = False
    counts_with_effort: bool = False
    hide_field: str | None = None
    stops_in_thoughts: bool = False
    load_metrics: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Family:
    """How thinking is controlled for one kind of model on one engine: a row of data.

    Body fields are objects merged into the request; dots in field names access nested objects. `hybrid`: one deployment
    serves all efforts it supports; otherwise the family is two models, and choosing the deployment is the switch.
    `default` is the behaviour without any field: `on`, `off` or `adaptive`.

    `off` and `on` are the fields that switch thinking ({}: none needed; None: not supported). `levels` are the family's
    levels, weakest first, with their values for `level_field`; `nearest` maps each other named level to its
    replacement. A token budget goes into `budget_field` (None: not supported), from `budget_least` to `budget_most` in
    steps of `budget_step`, together with `budget_with`; `budget_instead`: it excludes a level. `limit_field` is the
    only field accepted for the limit on all tokens of an answer; None: the client's own works.

    `system` says where its template allows system messages: `anywhere`, or only at the beginning (`first`). `history`
    says which reasoning of earlier turns is sent back: none (`drop`), that since the last user message (`tools`), or
    all (`keep`); in message field `history_field`, with body fields `history_with`. `answer_field` holds the reasoning
    in answers ("": hidden), `end_text` ends reasoning that the gateway has to end itself ("": impossible),
    `usage_field` counts thinking tokens in the usage ("": not separate). `soft_switches` are words in a text that turn
    thinking on, `control_tokens` the markers that its template writes between messages. `sources` has the source of
    each part of the row. `salt_field` takes the salt of the engine's prefix cache. `passes_through`: nothing is known,
    the client's own fields are passed on.
    """

    name: str
    about: str
    hybrid: bool
    engine: str = ""
    host: EngineTraits = field(default_factory=EngineTraits)
    default: str = "on"
    off: JsonObject | None = field(default_factory=dict)
    on: JsonObject | None = field(default_factory=dict)
    level_field: str | None = None
    levels: JsonObject = field(default_factory=dict)
    nearest: Mapping[str, str] = field(default_factory=dict)
    budget_field: str | None = None
    budget_least: int = 1
    budget_most: int | None = None
    budget_step: int = 1
    budget_with: JsonObject = field(default_factory=dict)
    budget_instead: bool = False
    limit_field: str | None = None
    system: Literal["anywhere", "first"] = "anywhere"
    history: Literal["drop", "tools", "keep"] = "drop"
    history_field: str = REASONING
    history_with: JsonObject = field(default_factory=dict)
    answer_field: str = REASONING
    usage_field: str = "completion_tokens_details.reasoning_tokens"
    end_text: str = "</think>\n\n"
    soft_switches: tuple[str, ...] = ()
    control_tokens: tuple[str, ...] = ()
    salt_field: str | None = None
    passes_through: bool = False
    known_issues: tuple[KnownIssue, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)
