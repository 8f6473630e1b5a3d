"""Deployments, and who stands in for each."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from urllib.parse import urlsplit

from gateway.assembly.each import each, named
from gateway.config import field_policy as guards
from gateway.config import secret_values, settings
from gateway.config.deployment import DeploymentSettings
from gateway.core.deployment import Deployment
from gateway.core.errors import ConfigError, suggestion
from gateway.core.family import Family
from gateway.core.serving_limits import AdmissionLimits, Pricing, ResponseLimits, Timeouts, UsualLatency
from gateway.families import table

# What a base URL does not end in: the routes below it.
_ROUTES = ("/chat/completions", "/completions", "/embeddings", "/responses", "/messages", "/models")


def deployments(chosen: settings.Settings) -> dict[str, Deployment]:
    """ConfigError: an unknown family or one that is at odds with itself, a URL that is none, a key that is not in the
    environment.
    """
    families = table.shipped().with_rows(chosen.families)
    each(chosen.families, "families", lambda name, given: families.family(name))
    build = partial(_deployment, families=families, keyed=chosen.access.required)
    return each(chosen.deployments, "deployments", build)


def fallbacks(chosen: settings.Settings, known: Mapping[str, Deployment]) -> dict[str, tuple[Deployment, ...]]:
    """Who stands in for each deployment, in order: those it names, and theirs.

    ConfigError: an unknown deployment, one that would stand in for itself, or one that cannot be told what it must be.
    """

    def build(name: str, given: DeploymentSettings) -> tuple[Deployment, ...]:
        found: dict[str, Deployment] = {}
        _follow(name, (name,), chosen, known, found)
        return tuple(found.values())

    return each(chosen.deployments, "deployments", build)


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
        deployment = named(other, known)
        assert deployment is not None, "only no name has no deployment"
        if other in path:
            if other == path[0] == min(path):
                raise ConfigError([f"fallback: {' → '.join((*path, other))} is a cycle"])
            continue
        if direct and known[name].family.hybrid and not deployment.family.hybrid:
            name = deployment.family.name
            raise ConfigError([f"fallback: {other} cannot stand in: its family {name} has no thinking switch"])
        found.setdefault(other, deployment)
        _follow(other, (*path, other), chosen, known, found)


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
    """A base URL that ends in an API version, as the official SDKs expect it; `/v1` is added where it has no path."""
    base = url.rstrip("/")
    if "@" in url.partition("://")[2].partition("/")[0]:
        # Not told what it is: faults are printed, and URLs are in logs.
        raise ConfigError(["url: it contains credentials: use api_key_file or api_key_env"])
    try:
        parts = urlsplit(base)
        right = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        right = False
    if not right or url.split() != [url]:
        raise ConfigError([f"url: {url!r} is not an http or https URL"])
    if parts.query or parts.fragment:
        raise ConfigError([f"url: {url!r} is not a base URL: leave out what follows the path"])
    for route in _ROUTES:
        if base.endswith(route):
            raise ConfigError([f"url: {url!r} ends in {route}, which the gateway adds: {base.removesuffix(route)!r}"])
    return base if parts.path else f"{base}/v1"
