"""The schema of a family row in TOML, in the shipped table and in the settings.

TOML has no null: `false` in place of fields or of a field's name means that the feature is not supported.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from gateway.core.reasoning import REASONING

# The names of engines in the configuration; their properties are in the table.
OpenEngine = Literal["vllm", "sglang"]
Engine = Literal[OpenEngine, "hosted"]
OPEN_ENGINES: tuple[OpenEngine, ...] = get_args(OpenEngine)
Level = Literal["minimal", "low", "medium", "high", "xhigh", "max"]
# The parts of a row that have a source each, and the cells that belong to each part.
PARTS = {
    "hybrid": ("hybrid",),
    "default": ("default",),
    "off": ("off",),
    "on": ("on",),
    "levels": ("level_field", "levels"),
    "nearest": ("nearest",),
    "budget": ("budget_field", "budget_least", "budget_most", "budget_step", "budget_with", "budget_instead"),
    "limit": ("limit_field",),
    "system": ("system",),
    "history": ("history", "history_with"),
    "history_field": ("history_field",),
    "answer_field": ("answer_field",),
    "usage": ("usage_field",),
    "end_text": ("end_text",),
    "soft_switches": ("soft_switches",),
    "control_tokens": ("control_tokens",),
    "salt": ("salt_field",),
}


def _false_is_none(value: Any) -> Any:
    return None if value is False else value


def _false_is_empty(value: Any) -> Any:
    return "" if value is False else value


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


Text = Annotated[str, Field(min_length=1)]
Texts = Annotated[tuple[Text, ...], BeforeValidator(_as_tuple)]
FieldName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$")]
BodyFields = Annotated[dict[str, Any] | None, BeforeValidator(_false_is_none)]
OptionalFieldName = Annotated[FieldName | None, BeforeValidator(_false_is_none)]
Tokens = Annotated[int, Field(ge=0, le=10_000_000)]


class StrictCells(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class KnownIssueRow(StrictCells):
    """When an issue occurs, what happens, the workaround, and the source."""

    when: Text
    what: Text
    way_round: Text
    source: Text


class Sources(StrictCells):
    """The source of each part of a row."""

    hybrid: Text = ""
    default: Text = ""
    off: Text = ""
    on: Text = ""
    levels: Text = ""
    nearest: Text = ""
    budget: Text = ""
    limit: Text = ""
    system: Text = ""
    history: Text = ""
    history_field: Text = ""
    answer_field: Text = ""
    usage: Text = ""
    end_text: Text = ""
    soft_switches: Text = ""
    control_tokens: Text = ""
    salt: Text = ""


class Cells(StrictCells):
    """The cells of a row; omitted ones are inherited from its base or engine."""

    about: Text = ""
    passes_through: bool = False
    """Whether nothing is known of it, so that the client's own fields are passed on."""
    hybrid: bool = True
    """Whether one deployment serves every effort; if not, the family is two models, chosen by deployment."""
    default: Literal["on", "off", "adaptive"] = "on"
    """What the model does by default."""
    off: BodyFields = None
    on: BodyFields = {}
    """The body fields that switch thinking; {}: none needed, false: not supported."""
    level_field: OptionalFieldName = None
    levels: dict[Level, str | bool | int | float] = {}
    """Its levels, and the value sent for each."""
    nearest: dict[Level, Level | Literal["none"]] = {}
    """Replacements of other levels documented by its maker; for the rest, the nearest level by rule."""
    budget_field: OptionalFieldName = None
    budget_least: Annotated[Tokens, Field(ge=1)] = 1
    budget_most: Annotated[Tokens, Field(ge=1)] | None = None
    budget_step: Annotated[Tokens, Field(ge=1)] = 1
    budget_with: dict[str, Any] = {}
    """The body fields sent together with a budget."""
    budget_instead: bool = False
    """Whether a budget excludes a level."""
    limit_field: FieldName | None = None
    """The only field it accepts for the limit on all tokens of an answer; if omitted, the client's own works."""
    system: Literal["anywhere", "first"] = "anywhere"
    """Where its template allows system messages: if only at the beginning, later ones join the user's."""
    history: Literal["drop", "tools", "keep"] = "drop"
    """Which reasoning of earlier turns is sent back: none, that since the last user message, or all."""
    history_field: FieldName = REASONING
    history_with: dict[str, Any] = {}
    """The body fields with which the template keeps it."""
    answer_field: Annotated[FieldName | Literal[""], BeforeValidator(_false_is_empty)] = REASONING
    """The field with the reasoning in answers; false: it is hidden."""
    usage_field: Annotated[FieldName | Literal[""], BeforeValidator(_false_is_empty)] = (
        "completion_tokens_details.reasoning_tokens"
    )
    """The usage field that counts thinking tokens; false: they are not separate from the answer's."""
    end_text: Annotated[str, BeforeValidator(_false_is_empty)] = "</think>\n\n"
    """The text that ends reasoning and begins the answer; false: no text can."""
    soft_switches: Texts = ()
    """Words that turn thinking on in a text: removed from messages of keys with limited thinking. With a `*` at both
    ends, also inside other words.
    """
    control_tokens: Texts = ()
    """Markers that its template writes between messages: refused in messages of such keys."""
    salt_field: OptionalFieldName = None
    """The field for the salt of the prefix cache; omitted: there is none."""
    known_issues: list[KnownIssueRow] = []
    """Its known issues, in addition to those that it inherits."""
    source: Text = ""
    """The source of this row, except for parts with their own source."""
    sources: Sources = Sources()


class EngineRow(Cells):
    """An engine: defaults for every family that it serves."""

    counts_prompts: bool = False
    """Whether `/tokenize` counts the tokens of a conversation."""
    counts_with_effort: bool = False
    """Whether `/tokenize` accepts an effort as requests do, instead of the template variables derived from it."""
    hide_field: FieldName | None = None
    """The field that hides reasoning from the answer when false."""
    stops_in_thoughts: bool = False
    """Whether stop sequences also end reasoning."""
    load_metrics: dict[Literal["running", "waiting", "cache"], Text] = {}
    """The metrics at `/metrics` that say how many requests run and wait, and which share of the cache is in use."""
    budget_known_issues: list[KnownIssueRow] = []
    """Known issues of its own budget enforcement, which do not affect families with another budget field."""


class FamilyRow(Cells):
    """A kind of model. `vllm` and `sglang` have the cells that differ on that engine."""

    base: str | None = None
    """The row from which it inherits."""
    engine: Engine | None = None
    """The default engine; `hosted` rows are served only by their maker."""
    vllm: Cells | None = None
    sglang: Cells | None = None

    @model_validator(mode="after")
    def _consistent(self) -> FamilyRow:
        if self.engine not in (None, *OPEN_ENGINES) and any(map(self.at, OPEN_ENGINES)):
            raise ValueError(f"a {self.engine} row has no cells for other engines")
        return self

    def at(self, engine: Engine) -> Cells | None:
        """The cells that differ on an engine."""
        return getattr(self, engine) if engine in OPEN_ENGINES else None


class TableFile(StrictCells):
    """The shipped table: engines and families by name."""

    engines: dict[Engine, EngineRow]
    families: dict[str, FamilyRow]
