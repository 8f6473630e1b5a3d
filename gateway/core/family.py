"""How one kind of model is told to think: a row of data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from gateway.core.aliases import JsonObject
from gateway.core.reasoning import REASONING


class KnownIssue(NamedTuple):
    """What an engine is known to get wrong with a family: when, what happens, the way round it, where that is told."""

    when: str
    what: str
    way_round: str
    source: str


@dataclass(frozen=True, slots=True)
class EngineTraits:
    """What sets an engine apart for every family that it serves.

    `is_open`: it serves any model whose weights one has; else it is the API of a family's maker, where requests cost
    money. `counts_prompts`: `/tokenize` counts a conversation; `counts_with_effort`: it takes an effort as requests do.
    `hide_field` keeps a thought out of the answer when false. `stops_in_thoughts`: stop sequences end thoughts, too.
    """

    is_open: bool = True
    counts_prompts: bool = False
    counts_with_effort: bool = False
    hide_field: str | None = None
    stops_in_thoughts: bool = False


@dataclass(frozen=True, slots=True)
class Family:
    """How one kind of model, served by one engine, is told to think: a row of data.

    Body fields that are told are objects merged into the request; field names may have dots, each goes one object
    deeper. `hybrid`: one deployment serves every effort, as far as it can; if not, the family is two models, and the
    deployment itself is the switch. `default` is what a model does that is told nothing: `on`, `off` or `adaptive`.

    `off` and `on` switch thinking ({}: nothing need be said; None: it cannot be told to). `levels` are the words that
    the family knows, weakest first, with the value told for each in `level_field`; `nearest` has, for each of the named
    levels that it does not know, the one that stands for it. A budget in tokens is told in `budget_field` (None: it
    cannot be told), between `budget_least` and `budget_most`, in steps, together with `budget_with`; `budget_instead`
    of a level where it cannot be told beside one. `limit_field` is the only name that it knows for the limit on all
    tokens of an answer; None: it knows the client's own.

    `system` says where its template allows messages of the system: `anywhere`, or at the beginning alone (`first`).
    `history` says which thoughts of earlier turns go back: none (`drop`), those since the last user's message
    (`tools`), or all (`keep`); in which field of a message, and with which body fields so that the template keeps them.
    `answer_field` is where the engine puts thoughts in its answers ("": it does not show them), and `end_text` what
    ends a thought that the gateway has to end itself ("": it cannot be ended by text). `usage_field` is where in the
    usage the tokens of thoughts are counted ("": not apart from the answer's). `soft_switches` are words that switch
    thinking on in a text, `control_tokens` the marks that its template writes between messages. `sources` has for each
    part of the row where it is written. `salt_field` takes what the engine's prefix cache is told apart by.
    `passes_through`: nothing is known, the client's own words go on as they are.
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
