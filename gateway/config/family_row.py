"""A row of the family table as it is written in TOML, typed and strict: in the shipped table and in the settings.

TOML has no null: `false` in place of fields or of a field's name says that the thing cannot be told.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from gateway.core.reasoning import REASONING

# The words of the configuration; what sets engines apart stands in the table.
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
Told = Annotated[dict[str, Any] | None, BeforeValidator(_false_is_none)]
ToldIn = Annotated[FieldName | None, BeforeValidator(_false_is_none)]
Tokens = Annotated[int, Field(ge=0, le=10_000_000)]


class StrictCells(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class KnownIssueRow(StrictCells):
    """When an engine goes wrong, what happens, the way round it, and where that is told."""

    when: Text
    what: Text
    way_round: Text
    source: Text


class Sources(StrictCells):
    """Where each part of a row is written."""

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
    """What is said of a kind of model; what is left out is as it is where the row comes from."""

    about: Text = ""
    passes_through: bool = False
    """Whether nothing is known of it, so that the client's own words go on as they are."""
    hybrid: bool = True
    """Whether one deployment serves every effort; if not, the family is two models, and the deployment the switch."""
    default: Literal["on", "off", "adaptive"] = "on"
    """What the model does that is told nothing."""
    off: Told = None
    on: Told = {}
    """The body fields that switch thinking; {}: nothing need be said, false: it cannot be told to."""
    level_field: ToldIn = None
    levels: dict[Level, str | bool | int | float] = {}
    """The words that it knows, and the value that is told for each."""
    nearest: dict[Level, Level | Literal["none"]] = {}
    """What stands for a word that it does not know, where its maker says so; else the nearest by rule."""
    budget_field: ToldIn = None
    budget_least: Annotated[Tokens, Field(ge=1)] = 1
    budget_most: Annotated[Tokens, Field(ge=1)] | None = None
    budget_step: Annotated[Tokens, Field(ge=1)] = 1
    budget_with: dict[str, Any] = {}
    """What must be said together with a budget."""
    budget_instead: bool = False
    """Whether a budget is told instead of a level, and never beside one."""
    limit_field: FieldName | None = None
    """The only name that it knows for the limit on all tokens of an answer; if left out, it knows the client's own."""
    system: Literal["anywhere", "first"] = "anywhere"
    """Where its template allows messages of the system: if at the beginning alone, later ones go to the user's."""
    history: Literal["drop", "tools", "keep"] = "drop"
    """Which thoughts of earlier turns go back: none, those since the last user's message, or all."""
    history_field: FieldName = REASONING
    history_with: dict[str, Any] = {}
    """The body fields with which the template keeps them."""
    answer_field: Annotated[FieldName | Literal[""], BeforeValidator(_false_is_empty)] = REASONING
    """Where thoughts are in answers; false: they are not shown."""
    usage_field: Annotated[FieldName | Literal[""], BeforeValidator(_false_is_empty)] = (
        "completion_tokens_details.reasoning_tokens"
    )
    """Where their tokens are counted in the usage; false: not apart from the answer's."""
    end_text: Annotated[str, BeforeValidator(_false_is_empty)] = "</think>\n\n"
    """What ends a thought and leads to its answer; false: no text can."""
    soft_switches: Texts = ()
    """Words that switch thinking on in a text: taken out of the messages of a key whose thinking is limited. With a `*`
    at both ends, also in the middle of other words.
    """
    control_tokens: Texts = ()
    """Marks that its template writes between messages: refused in the messages of such a key."""
    salt_field: ToldIn = None
    """Where a request says whose prefix cache it shares; left out: nowhere."""
    known_issues: list[KnownIssueRow] = []
    """What is known to go wrong, beside those of the row that this one comes from."""
    source: Text = ""
    """Where all that this row says is written, but for the parts that have a source of their own."""
    sources: Sources = Sources()


class EngineRow(Cells):
    """An engine: what holds for every family that it serves, unless the family's row says otherwise."""

    counts_prompts: bool = False
    """Whether `/tokenize` counts the tokens of a conversation."""
    counts_with_effort: bool = False
    """Whether `/tokenize` takes an effort as requests do, or what the engine makes of one for the template."""
    hide_field: FieldName | None = None
    """The field that keeps a thought out of the answer when false."""
    stops_in_thoughts: bool = False
    """Whether it looks for stop sequences in thoughts, too."""
    budget_known_issues: list[KnownIssueRow] = []
    """Those of its own way to keep a budget; they are no matter to a family that takes budgets in another way."""


class FamilyRow(Cells):
    """A kind of model. `vllm` and `sglang` have the cells that differ on that engine."""

    base: str | None = None
    """The row whose cells it takes over."""
    engine: Engine | None = None
    """What serves it unless a deployment says otherwise; `hosted` rows are served by their maker alone."""
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
