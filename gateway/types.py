"""The nouns of Thinkgate. Frozen, small, free of behaviour that needs anything else."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import fsum
from typing import Any, Literal, NamedTuple

from gateway.guard.policy import OPEN, Guard

Reason = Literal["client", "router", "probe", "policy", "sticky", "fallback", "load"]
# Whether a probe is asked for first: where it is worth it, wherever it is possible, or not at all.
Ask = Literal["auto", "always", "never"]
BackendKind = Literal["merged", "split"]
# How a budget is kept: the backend does it by itself; the gateway ends the thought and has the answer written on; it
# ends the answer where the budget ends; nobody does.
Enforcement = Literal["native", "two-phase", "cut", "none"]
JsonObject = Mapping[str, Any]
Headers = Mapping[str, str]
BYTES_PER_TOKEN = 4
# Both mean "all completion tokens, thinking included"; the second is the newer name.
LIMIT_FIELDS = ("max_tokens", "max_completion_tokens")


@dataclass(frozen=True, slots=True)
class Effort:
    """How hard to think. `budget` is in thinking tokens; None with `think` means unlimited; without `think` it is 0."""

    think: bool
    budget: int | None = None

    def __post_init__(self) -> None:
        if not self.think and self.budget != 0:
            object.__setattr__(self, "budget", 0)
        if self.budget is not None and self.budget < 0:
            raise ValueError(f"a thinking budget cannot be negative: {self.budget}")


NO_THINKING = Effort(think=False, budget=0)
UNLIMITED = Effort(think=True, budget=None)


class Fault(NamedTuple):
    """What an engine is known to get wrong with a family: when, what happens, the way round it, where that is told."""

    when: str
    what: str
    way_round: str
    source: str


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
    engine: str = "vllm"
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
    history_field: str = "reasoning"
    history_with: JsonObject = field(default_factory=dict)
    answer_field: str = "reasoning"
    usage_field: str = "completion_tokens_details.reasoning_tokens"
    end_text: str = "</think>\n\n"
    soft_switches: tuple[str, ...] = ()
    control_tokens: tuple[str, ...] = ()
    salt_field: str | None = None
    passes_through: bool = False
    faults: tuple[Fault, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Deployment:
    """One served model. Base URLs end in the API version (`/v1`); times in seconds, prices in dollars per token.

    One object for each deployment: compared and hashed by identity.
    """

    name: str
    urls: tuple[str, ...]
    model: str
    family: Family
    max_context: int | None = None
    ttft_s: float = 0.2
    tpot_s: float = 0.02
    input_price: float = 0.0
    output_price: float = 0.0
    connect_timeout_s: float = 5.0
    first_token_timeout_s: float | None = None
    read_timeout_s: float = 600.0
    total_timeout_s: float = 3600.0
    max_answer_bytes: int = 128 * 1024 * 1024
    max_event_bytes: int = 16 * 1024 * 1024
    retries: int = 1
    max_in_flight: int | None = None
    max_queue: int = 256
    max_wait_s: float = 30.0
    batch_wait_s: float = 300.0
    batch_share: float = 0.8
    api_key: str | None = field(default=None, repr=False)
    router_name: str = ""
    probe: bool = False
    guard: Guard = OPEN
    salted: bool = False

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Dollars."""
        return prompt_tokens * self.input_price + completion_tokens * self.output_price


@dataclass(frozen=True, slots=True, eq=False)
class Arm:
    """Where each effort goes: `none` without thinking, `think` with it. The same deployment twice is a merged backend.

    One object for each arm: compared and hashed by identity.

    `efforts` are those on offer, weakest first; `models` are the deployments' names in the router's outcome data.
    """

    name: str
    none: Deployment | None
    think: Deployment | None
    efforts: tuple[Effort, ...]
    weight: float = 1.0

    @property
    def models(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(d.router_name for d in (self.none, self.think) if d is not None))

    def deployment_for(self, effort: Effort) -> Deployment | None:
        return self.think if effort.think else self.none

    @property
    def for_passed(self) -> Deployment:
        """Who gets what is passed on: the one that need not think, if there is one."""
        deployment = self.none or self.think
        assert deployment is not None, "an arm has a deployment"
        return deployment

    @property
    def passed_may_think(self) -> bool:
        """Whether a raw prompt may open a thought there."""
        if self.none is None:
            return True
        family = self.none.family
        return family.on is not None and (family.hybrid or family.off is None)


class EffortForecast(NamedTuple):
    """What one effort would bring and cost: P(correct) in [0,1], tokens in tokens, seconds in seconds."""

    effort: Effort
    p_correct: float
    thinking_tokens: float
    answer_tokens: float
    seconds: float


class Contract(NamedTuple):
    """At most `max_regret` less accuracy than the strongest effort allowed, at this confidence.

    On traffic in the long run or, with a `horizon`, on the next so many requests themselves. `net`: gains count against
    losses; else every request that loses what that effort would have got right does. `ask`: whether probes are asked.
    """

    max_regret: float
    confidence: float
    horizon: int | None = None
    net: bool = False
    ask: Ask = "auto"


@dataclass(frozen=True, slots=True)
class Promised:
    """What can be promised under a contract: prices of a token, where a request may be asked for a probe and where not.

    None: no price keeps the contract there, so the strongest effort is taken. It rests on so many `prompts`, of which
    `harmed` lost something; `bound` is the upper bound on their share, `loss` the loss of accuracy, gains counted, and
    `saved` the share of the strongest effort's tokens. `why` says what stands against a promise.
    """

    asking: float | None
    direct: float | None
    prompts: int = 0
    harmed: int = 0
    bound: float = 0.0
    loss: float = 0.0
    saved: float = 0.0
    why: str | None = None

    @property
    def kept(self) -> bool:
        """Whether anything is bought under it."""
        return self.asking is not None or self.direct is not None


@dataclass(frozen=True, slots=True)
class Forecast:
    """The forecasts of one request, one per effort on offer, weakest first, and the version of the router behind them.

    `price_at` turns a dial position in [0,1] into the price of a token, for a policy that asks for probes in this way:
    the router knows how steep its forecasts are.
    `strange`: the request is of a kind that the router has never met, and its text alone is not to be trusted.
    `worth_asking` says whether to ask for a probe first, given the worth of the best effort that thinks and what a
    probe costs, both in P(correct); None: there can be no probe. `probed`: this is the forecast after one, in which the
    effort without thinking costs nothing more. `reading` is for the router alone: what it made of the request.
    `promised` gives what was promised under a contract, None where nothing was.
    """

    router: str
    efforts: tuple[EffortForecast, ...]
    price_at: Callable[[float, Ask], float] = field(default=lambda dial, ask: 0.0, compare=False, repr=False)
    strange: bool = False
    probed: bool = False
    worth_asking: Callable[[float, float], bool] | None = field(default=None, compare=False, repr=False)
    reading: Any = field(default=None, compare=False, repr=False)
    promised: Callable[[Contract], Promised | None] = field(default=lambda contract: None, compare=False, repr=False)

    def unasked(self) -> Forecast:
        """The same where there can be no probe."""
        return replace(self, worth_asking=None)

    def thinking(self) -> Forecast:
        """The same where a probe was wanted and failed: only thinking is left."""
        return replace(self, worth_asking=None, efforts=tuple(one for one in self.efforts if one.effort.think))


class Probe(NamedTuple):
    """How sure a model was of its short answer: log-probabilities of its tokens in nats, and how far the first one was
    ahead of the next likely (None: unknown). `truncated`: the client's limit ended it.
    """

    logprobs: Sequence[float]
    first_margin: float | None = None
    truncated: bool = False

    @property
    def mean(self) -> float:
        return fsum(self.logprobs) / len(self.logprobs)

    @property
    def least(self) -> float:
        return min(self.logprobs)


@dataclass(frozen=True, slots=True)
class Prices:
    """What one token and one second of waiting are worth, in units of P(correct)."""

    token: float = 0.0
    second: float = 0.0


class Pressure(NamedTuple):
    """How busy one deployment is, as this process sees it: requests in flight, the most there may be (None: any
    number), how many wait, and how many seconds one more would probably wait.
    """

    in_flight: int = 0
    capacity: int | None = None
    queued: int = 0
    wait_s: float = 0.0


IDLE = Pressure()


@dataclass(frozen=True, slots=True)
class Load:
    """How busy the arm's deployments are: the one that answers without thinking, and the one that thinks.

    A policy may lower the effort by it before anybody waits or is refused.
    """

    none: Pressure = IDLE
    think: Pressure = IDLE

    def of(self, effort: Effort) -> Pressure:
        return self.think if effort.think else self.none


class Passed(NamedTuple):
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
    wants_account: bool = False
    stops_answer: bool = False
    passed: Passed | None = None
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


class Asking(NamedTuple):
    """How a probe is asked for: tokens of a stream that are held back at most, and seconds that that may take."""

    tokens: int = 64
    wait_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Decision:
    """The chosen effort, its probability under the policy, why it was chosen and at which prices.

    `asks`: the answer without thinking is a probe, asked for in this way, and after it the decision is made anew.
    """

    effort: Effort
    reason: Reason
    propensity: float
    prices: Prices
    forecast: Forecast | None = None
    asks: Asking | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What goes out: the deployment, the effort it can legally be told, the body, and what could not be said.

    `applied` is None where the family cannot be told an effort: the backend then does as it likes. `tokens` is the work
    it is for the backend, as far as can be told beforehand. `effort` is what any deployment would be told, and `bounds`
    are the notes that hold for any. `enforcement` is who keeps the budget, `level` the family's word for the effort.
    """

    deployment: Deployment
    applied: Effort | None
    body: dict[str, Any]
    notes: tuple[str, ...] = ()
    tokens: float = 0.0
    effort: Effort = NO_THINKING
    bounds: tuple[str, ...] = ()
    enforcement: Enforcement = "none"
    level: str | None = None

    @property
    def words(self) -> str | None:
        """What was applied: the family's word for it where no number was told, else the budget; None if nothing was."""
        if self.applied is None:
            return None
        if self.applied.think and self.applied.budget is None:
            return self.level or "unlimited"
        return str(self.applied.budget) if self.applied.think else "none"


@dataclass(frozen=True, slots=True)
class Usage:
    """What the backend really spent, in tokens. None: the backend did not say."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    reasoning_tokens: int | None = None


class Record(NamedTuple):
    """One request, finished or failed. Field names are the columns of the table; no prompt or answer text.

    `requested`, `decided` and `applied` are budgets in words (`auto`, `none`, a number, `unlimited`); times in seconds
    unless the name says otherwise; `id` is the gateway's own, `request_id` the one the client sees, `key` the id of the
    client's API key; `cost` is in dollars. `enforced` is who kept the budget; `used_from` whether the backend
    `reported` what was used or it was `counted` here; `verdict` whether that was `within` the budget, `over` it or is
    `unknown`; and `exceeded` by how many tokens it was over. `probe` is what became of one (`kept`, `thrown_away`,
    `failed`, `unfinished`), with the features it was decided by (log-probabilities in nats), how long it took, and the
    `forecast_before` it. The tokens of a probe that was not kept are on top of `completion_tokens`, and in `cost`.
    """

    id: str
    request_id: str
    time: float
    dialect: str
    status: int
    model: str | None = None
    arm: str | None = None
    deployment: str | None = None
    requested: str | None = None
    decided: str | None = None
    applied: str | None = None
    used: int | None = None
    budget: int | None = None
    reason: str | None = None
    propensity: float | None = None
    price_token: float | None = None
    price_second: float | None = None
    forecast: str | None = None
    router: str | None = None
    unit: str | None = None
    notes: str | None = None
    error_type: str | None = None
    error_code: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    reasoning_tokens: int | None = None
    ttft: float | None = None
    latency: float | None = None
    decision_ms: float | None = None
    streamed: bool = False
    finish_reason: str | None = None
    client_gone: bool = False
    key: str | None = None
    cost: float | None = None
    queued_ms: float | None = None
    enforced: str | None = None
    verdict: str | None = None
    used_from: str | None = None
    exceeded: int | None = None
    probe: str | None = None
    probe_tokens: int | None = None
    probe_mean: float | None = None
    probe_min: float | None = None
    probe_first_margin: float | None = None
    probe_truncated: bool | None = None
    probe_ms: float | None = None
    forecast_before: str | None = None
    user: str | None = None


__all__ = [
    "IDLE",
    "NO_THINKING",
    "UNLIMITED",
    "Arm",
    "Ask",
    "Asking",
    "BackendKind",
    "Call",
    "Contract",
    "Decision",
    "Deployment",
    "Effort",
    "EffortForecast",
    "Enforcement",
    "Family",
    "Fault",
    "Forecast",
    "Headers",
    "JsonObject",
    "Load",
    "Passed",
    "Plan",
    "Pressure",
    "Prices",
    "Probe",
    "Promised",
    "Reason",
    "Record",
    "Usage",
]
