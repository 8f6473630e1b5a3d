"""From settings to parts: deployments, arms, policies and routers, with every fault found in one go."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import lru_cache, partial
from typing import TypeVar
from urllib.parse import urlsplit

from gateway.auth.authenticator import Authenticator, KeyAuthenticator, OpenAuthenticator
from gateway.auth.keys import Keys
from gateway.auth.limits import Limits
from gateway.auth.seal import Seal
from gateway.auth.seal_secret import kept_secret
from gateway.auth.usage_store import UsageStore
from gateway.backends.latency import LatencyModels
from gateway.config import field_policy as guards
from gateway.config import secret_values, settings
from gateway.config.deployment import DeploymentSettings
from gateway.config.model import ArmSettings, ModelSettings
from gateway.config.storage import AccessSettings
from gateway.core.arm import Arm
from gateway.core.deployment import Deployment
from gateway.core.efforts import Effort, from_budget, level_of, size
from gateway.core.errors import ConfigError, suggestion
from gateway.core.family import Family
from gateway.core.serving_limits import AdmissionLimits, Pricing, ResponseLimits, Timeouts, UsualLatency
from gateway.families import table
from gateway.families.answer_limits import AnswerLimits
from gateway.families.compiler import by_the_row
from gateway.families.effort_encoding import nearest
from gateway.families.model_limits import ModelLimits
from gateway.routing.catalogue import Catalogue, PublicModel, levels_with
from gateway.routing.effort_router.protocol import EffortRouter
from gateway.routing.effort_router.registry import make_router
from gateway.routing.policies.protocol import Policy, Resolve

# Efforts whose level is remembered: a policy chooses among few, clients may name any.
EFFORTS = 1024
S = TypeVar("S")
P = TypeVar("P")

# What a base URL does not end in: the routes below it.
_ROUTES = ("/chat/completions", "/completions", "/embeddings", "/responses", "/messages", "/models")


def deployments(chosen: settings.Settings) -> dict[str, Deployment]:
    """ConfigError: an unknown family or one that is at odds with itself, a URL that is none, a key that is not in the
    environment.
    """
    families = table.shipped().with_rows(chosen.families)
    _each(chosen.families, "families", lambda name, given: families.family(name))
    build = partial(_deployment, families=families, keyed=chosen.access.required)
    return _each(chosen.deployments, "deployments", build)


def fallbacks(chosen: settings.Settings, known: Mapping[str, Deployment]) -> dict[str, tuple[Deployment, ...]]:
    """Who stands in for each deployment, in order: those it names, and theirs.

    ConfigError: an unknown deployment, one that would stand in for itself, or one that cannot be told what it must be.
    """

    def build(name: str, given: DeploymentSettings) -> tuple[Deployment, ...]:
        found: dict[str, Deployment] = {}
        _follow(name, (name,), chosen, known, found)
        return tuple(found.values())

    return _each(chosen.deployments, "deployments", build)


def _follow(
    name: str,
    path: tuple[str, ...],
    chosen: settings.Settings,
    known: Mapping[str, Deployment],
    found: dict[str, Deployment],
) -> None:
    """Go on from `name`, which the path has led to. Each fault is told where it is, and a circle once."""
    direct = len(path) == 1
    for other in chosen.deployments[name].fallback:
        if other not in known and not direct:
            continue
        deployment = _named(other, known)
        assert deployment is not None, "only no name has no deployment"
        if other in path:
            if other == path[0] == min(path):
                raise ConfigError([f"fallback: {' → '.join((*path, other))} goes in a circle"])
            continue
        if direct and known[name].family.hybrid and not deployment.family.hybrid:
            raise ConfigError([f"fallback: {other} cannot stand in: its family {deployment.family.name} has no switch"])
        found.setdefault(other, deployment)
        _follow(other, (*path, other), chosen, known, found)


def catalogue(chosen: settings.Settings, known: Mapping[str, Deployment], paces: LatencyModels) -> Catalogue:
    """ConfigError: an unknown deployment or effort, a family that cannot do what its model asks, a broken artifact."""
    routers: dict[str, EffortRouter] = {}

    def build(name: str, model: ModelSettings) -> PublicModel:
        levels = levels_with({level: from_budget(_budget(value)) for level, value in model.levels.items()})
        resolve = _resolver(levels)
        if model.router not in routers:
            routers[model.router] = make_router(model.router, paces)
        policy = model.policy.policy(resolve)
        arms = _arms(model, known, policy, levels)
        router = routers[model.router]
        if policy.contract is not None:
            arms = tuple(_promisable(arm, router, policy) for arm in arms)
        prepared = {arm.name: router.prepare(arm, policy.probe_use) for arm in arms}
        promises = {}
        if policy.contract is not None:
            promises = {arm.name: prepared[arm.name].guarantee(policy.contract, _between(arm, policy)) for arm in arms}
        return PublicModel(
            name=name,
            arms=arms,
            promises=promises,
            policy=policy,
            router=router,
            prepared=prepared,
            terms=ModelLimits(AnswerLimits(model.answer_allowance, model.max_answer_tokens), levels, model.strict),
            level_of=lru_cache(EFFORTS)(partial(level_of, levels=levels)),
        )

    return Catalogue(_each(chosen.models, "models", build))


def keys(access: AccessSettings) -> Keys:
    """ConfigError: the database or the counters beside it cannot be used."""
    return Keys(access.path, UsageStore(access.usage_path))


def authenticator(access: AccessSettings, refused: Callable[[str], None]) -> Authenticator:
    """`refused` is told why, in one word, of every client without a valid key. ConfigError: as for `keys`."""
    if not access.required:
        return OpenAuthenticator()
    return KeyAuthenticator(keys(access), access.longest_thought, refused, usual_limits(access), access.longest_answer)


def usual_limits(access: AccessSettings) -> Limits:
    """Of keys that have none of their own."""
    return Limits(max_parallel_requests=access.max_parallel_requests, max_bytes_in_flight=access.max_bytes_in_flight)


def seal(chosen: settings.Settings) -> Seal:
    """ConfigError: the secret that is named cannot be used, or one of our own cannot be kept."""
    return Seal(secret_values.signing_secrets(chosen.signing) or [kept_secret(chosen.own_secret_path)])


def _each(table: Mapping[str, S], where: str, build: Callable[[str, S], P]) -> dict[str, P]:
    """Build every entry of a table; all their faults in one ConfigError."""
    built: dict[str, P] = {}
    faults: list[str] = []
    for name, entry in table.items():
        try:
            built[name] = build(name, entry)
        except ConfigError as error:
            faults += [f"{where}.{name}.{fault}" for fault in error.faults]
    if faults:
        raise ConfigError(faults)
    return built


def _deployment(name: str, given: DeploymentSettings, *, families: table.FamilyTable, keyed: bool) -> Deployment:
    if given.family not in families.names():
        raise ConfigError([f"family: {given.family!r} is unknown.{suggestion(given.family, families.names())}"])
    model, family = given.model or name, families.family(given.family, given.engine)
    return Deployment(
        name=name,
        urls=tuple(_url(url) for url in given.url),
        model=model,
        family=family,
        max_context=given.max_context,
        retries=given.retries,
        timeouts=given.part(Timeouts),
        response_limits=given.part(ResponseLimits),
        admission=given.part(AdmissionLimits),
        latency=given.part(UsualLatency),
        pricing=given.part(Pricing),
        api_key=secret_values.secret(given.api_key_env, given.api_key_file, "api_key"),
        router_name=given.router_name or model,
        verify=_verify(given, family),
        guard=guards.guard(given.fields, given.media, keyed),
        salted=(keyed if given.cache_salt is None else given.cache_salt) and family.salt_field is not None,
    )


def _verify(given: DeploymentSettings, family: Family) -> bool:
    """Hosted APIs cost money and change nothing; where nothing is known there is nothing to compare."""
    known = family.host.is_open and not family.passes_through
    return known if given.verify is None else given.verify


def _url(url: str) -> str:
    """A base URL that ends in an API version, as the official SDKs want it; `/v1` is added where there is no path."""
    base = url.rstrip("/")
    if "@" in url.partition("://")[2].partition("/")[0]:
        # Not told what it is: faults are printed, and URLs are in logs.
        raise ConfigError(["url: it holds a user or a password: use api_key_file or api_key_env"])
    try:
        parts = urlsplit(base)
        right = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        right = False
    if not right or url.split() != [url]:
        raise ConfigError([f"url: {url!r} is no http or https URL"])
    if parts.query or parts.fragment:
        raise ConfigError([f"url: {url!r} has more than a base URL has: leave out what follows the path"])
    for route in _ROUTES:
        if base.endswith(route):
            raise ConfigError([f"url: {url!r} ends in {route}, which the gateway adds: {base.removesuffix(route)!r}"])
    return base if parts.path else f"{base}/v1"


def _budget(value: int | str) -> int | None:
    return value if isinstance(value, int) else None


def _resolver(levels: Mapping[str, Effort]) -> Resolve:
    def resolve(name: str | int) -> Effort:
        if isinstance(name, int):
            return from_budget(name)
        if name not in levels and name != "unlimited":
            raise ConfigError([f"policy: {name!r} is no effort.{suggestion(name, [*levels, 'unlimited'])}"])
        return levels.get(name) or from_budget(None)

    return resolve


def _arms(
    model: ModelSettings,
    known: Mapping[str, Deployment],
    policy: Policy,
    levels: Mapping[str, Effort],
) -> tuple[Arm, ...]:
    if model.arms:
        return tuple(_arm(name, arm, arm.weight, model, known, policy, levels) for name, arm in model.arms.items())
    name = "merged" if model.deployment else "split"
    return (_arm(name, model, 1.0, model, known, policy, levels),)


def _arm(
    name: str,
    backends: ModelSettings | ArmSettings,
    weight: float,
    model: ModelSettings,
    known: Mapping[str, Deployment],
    policy: Policy,
    levels: Mapping[str, Effort],
) -> Arm:
    """An arm with the efforts it can serve. ConfigError: it names no deployment, or one that cannot do its part."""
    none = _named(backends.deployment or backends.none, known)
    think = _named(backends.deployment or backends.think, known)
    if backends.deployment and none is not None and not none.family.hybrid:
        raise ConfigError([f"deployment: family {none.family.name} has no switch: name `none` and `think` instead"])
    efforts = _legal(policy.offers, none, think, levels)
    if not efforts:
        raise ConfigError([f"arm {name}: it has no deployment for any of the efforts that its policy may choose"])
    return Arm.of(name, none, think, efforts, weight)


def _legal(
    offered: Collection[Effort], none: Deployment | None, think: Deployment | None, levels: Mapping[str, Effort]
) -> tuple[Effort, ...]:
    """What can be told of it, each but once: of two budgets that a family takes for the same level, the smaller."""
    efforts: dict[object, Effort] = {}
    for effort in sorted(offered, key=size):
        deployment = think if effort.think else none
        if deployment is None or (not effort.think and deployment.family.off is None):
            continue
        by = by_the_row(deployment)
        told = nearest(effort, "", deployment.family, levels, by, [])
        if told.effort is None:
            efforts[effort] = effort
        else:
            efforts.setdefault((told.effort, told.level), effort if told.effort.budget is None else told.effort)
    return tuple(sorted(efforts.values(), key=size))


def _promisable(arm: Arm, router: EffortRouter, policy: Policy) -> Arm:
    """The arm with those efforts that something can be promised of, unless the strongest allowed is not among them."""
    observed, between = router.observed_efforts(arm), _between(arm, policy)
    return replace(arm, efforts=observed) if between and between[-1] in observed else arm


def _between(arm: Arm, policy: Policy) -> list[Effort]:
    """The arm's efforts within the bounds of its policy, weakest first."""
    return [effort for effort in arm.efforts if policy.allows(effort)]


def _named(name: str | None, known: Mapping[str, Deployment]) -> Deployment | None:
    if name is None:
        return None
    if name not in known:
        raise ConfigError([f"deployment {name!r} is not among [deployments].{suggestion(name, known)}"])
    return known[name]
