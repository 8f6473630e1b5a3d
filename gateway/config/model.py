"""The settings of a public model: its deployments, its policy and its router."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Literal

from pydantic import Field, model_validator

from gateway.config.one_of import OneOf
from gateway.config.types import RouterName
from gateway.core.prices import EXPLORE
from gateway.core.strict import HeaderName, Name, StrictSettings, Tokens, Unit, Weight
from gateway.routing.policies.client import ClientSettings
from gateway.routing.policies.protocol import PolicySettings
from gateway.routing.policies.registry import POLICIES
from gateway.routing.prices.protocol import PriceSettings
from gateway.routing.prices.registry import SETTERS
from gateway.routing.prices.work_class import WorkClass, contradictions
from gateway.verification.protocol import VerifierSettings
from gateway.verification.registry import VERIFIERS


class BackendNames(StrictSettings):
    """The deployment of each effort: `deployment` for all (merged), or `none` and `think` (split)."""

    deployment: str | None = None
    none: str | None = None
    think: str | None = None

    @model_validator(mode="after")
    def _one_way(self) -> BackendNames:
        if bool(self.deployment) == bool(self.none or self.think):
            raise ValueError("set either `deployment` (merged) or `none` and `think` (split)")
        return self


class ArmSettings(BackendNames):
    weight: Weight = 1.0


class SamplingSettings(StrictSettings):
    """Parameters that are sent where the client sets none of the same name; left to the backend if left out."""

    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=-1)] | None = None
    min_p: Unit | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    repetition_penalty: Annotated[float, Field(gt=0)] | None = None

    @property
    def given(self) -> dict[str, float]:
        return self.model_dump(exclude_none=True)


class SamplingByMode(StrictSettings):
    """A client cannot know which mode it gets, so that its answers are sampled as suits the one that they have."""

    think: SamplingSettings = SamplingSettings()
    none: SamplingSettings = SamplingSettings()


class ModelSettings(StrictSettings):
    """A public model: its backends and its policy. Several models may share deployments under different policies."""

    deployment: str | None = None
    none: str | None = None
    think: str | None = None
    arms: dict[HeaderName, ArmSettings] = {}
    """An experiment: several backends, chosen by weight. Replaces the three settings above."""
    policy: Annotated[PolicySettings, OneOf(POLICIES)] = ClientSettings()
    router: RouterName = "none"
    """`none`, `constant`, or a router artifact by name or path."""
    prices: list[Annotated[PriceSettings, OneOf(SETTERS)]] = []
    """What sets prices beside the policy: tables of kind `pace`, `slo`, `load` or `sticky`. All of them add up."""
    verify: list[Annotated[VerifierSettings, OneOf(VERIFIERS)]] = []
    """What scores complete answers by itself, in the background: tables of kind `exact`, `numeric`, `set`,
    `json_schema`, `regex`, `tool_calls` or `tests`."""
    levels: dict[Name, Tokens | Literal["unlimited"]] = {}
    sampling: SamplingByMode = SamplingByMode()
    """Sampling parameters of answers with thinking, and of those without."""
    classes: dict[HeaderName, WorkClass] = {}
    """Kinds of work with prices of their own, by their names."""
    answer_allowance: Annotated[int, Field(ge=0)] = 256
    """Tokens that are reserved for the answer where thinking must fit into the client's limit: the client requests it,
    or the context has no room for more."""
    longest_thought: Annotated[int, Field(ge=1)] = 16_384
    """Tokens that a client's limit is raised by for thinking that the gateway decides on and that nothing bounds."""
    strict: bool | Literal["off"] = "off"
    """Which requested efforts are refused if a family does not support them: all (true), only none (`off`), or none of
    them (false). Others are rounded to the nearest supported effort, with a note in the answer."""
    max_answer_tokens: Annotated[int, Field(ge=1)] | None = None
    """The longest answer if the client sets no limit; by default the backend's own."""

    @model_validator(mode="after")
    def _backends(self) -> ModelSettings:
        named = bool(self.deployment or self.none or self.think)
        if named == bool(self.arms):
            raise ValueError("set `deployment` (merged), `none` and `think` (split), or `arms` (an experiment)")
        if named:
            BackendNames(deployment=self.deployment, none=self.none, think=self.think)
        return self

    @model_validator(mode="after")
    def _verifiers_of_one_name(self) -> ModelSettings:
        names = Counter(one.called for one in self.verify)
        twice = [name for name, count in names.items() if count > 1]
        if twice:
            raise ValueError(f"several verifiers are called {twice[0]!r}: give each a `name`")
        return self

    @model_validator(mode="after")
    def _levels_say_what_they_are(self) -> ModelSettings:
        for name, tokens in self.levels.items():
            if name in ("auto", "unlimited") or name.isdecimal() or ":" in name:
                raise ValueError(f"levels: {name!r} means something else wherever clients name an effort")
            if name == "none" and tokens != 0:
                raise ValueError("levels: none is no thinking: it has no tokens")
        return self

    @model_validator(mode="after")
    def _classes_have_what_they_need(self) -> ModelSettings:
        kind = self.policy.kind_name
        dials = [name for name, work in self.classes.items() if work.dial is not None]
        if dials and "dial" not in type(self.policy).model_fields:
            raise ValueError(f"class {dials[0]} sets a dial, and a {kind} policy has none")
        lowest, highest = getattr(self.policy, "dial_bounds", (0.0, 1.0))
        for name, work in self.classes.items():
            if work.dial is not None and not lowest <= work.dial <= highest:
                bounds = f"{lowest:g} to {highest:g}"
                raise ValueError(f"class {name}: dial {work.dial:g} is outside of dial_bounds of the policy, {bounds}")
        if self.classes and not self.policy.needs_router:
            raise ValueError(f"classes: a {kind} policy buys at no price: choose a dial or a contract")
        wrong = [*contradictions(self.classes)]
        if wrong:
            raise ValueError(f"classes: {'; '.join(wrong)}")
        return self

    @model_validator(mode="after")
    def _each_setter_has_a_name(self) -> ModelSettings:
        """Records and explanations tell prices by the names of their setters; a class is one, and so is a policy."""
        called = [one.called for one in self.prices]
        for name in {*POLICIES, EXPLORE}:
            if name in called or name in self.classes:
                raise ValueError(f"prices: {name!r} is the name of the policy's own price: choose another")
        both = sorted({*called} & {*self.classes})
        if both:
            raise ValueError(f"prices: {both[0]!r} is a class as well: give each a name of its own")
        return self

    @model_validator(mode="after")
    def _has_what_its_policy_needs(self) -> ModelSettings:
        if self.router == "none" and self.policy.needs_router:
            raise ValueError(
                f"a {self.policy.kind_name} policy needs a router's forecasts, and there is no router: set one, "
                'such as `router = "prior"`, or choose `policy = { kind = "client" }`'
            )
        return self
