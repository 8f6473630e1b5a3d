"""Builds deployments and their fallbacks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
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

# Routes that must not be part of a base URL.
_ROUTES = ("/chat/completions", "/completions", "/embeddings", "/responses", "/messages", "/models")


def deployments(chosen: settings.Settings, before: Mapping[str, Deployment] = {}) -> dict[str, Deployment]:
    """Those of `before` of which nothing has changed, not even the secret in a file, stay the same objects.

    ConfigError: a family is unknown or inconsistent, a URL is invalid, or an API key is missing.
    """
    families = table.shipped().with_rows(chosen.families)
    each(chosen.families, "families", lambda name, given: families.family(name))
    build = partial(_deployment, families=families, keyed=chosen.access.required)
    built = each(chosen.deployments, "deployments", build)
    return {name: before[name] if _is_same(one, before.get(name)) else one for name, one in built.items()}


def fallbacks(chosen: settings.Settings, known: Mapping[str, Deployment]) -> dict[str, tuple[Deployment, ...]]:
    """The fallbacks of each deployment, in order: those it names, and their own fallbacks.

    ConfigError: a fallback is unknown, part of a cycle, or unable to switch thinking as the deployment can.
    """

    def build(name: str, given: DeploymentSettings) -> tuple[Deployment, ...]:
        found: dict[str, Deployment] = {}
        _follow(name, (name,), chosen, known, found)
        return tuple(found.values())

    return each(chosen.deployments, "deployments", build)


def _is_same(one: Deployment, other: Deployment | None) -> bool:
    return other is not None and all(getattr(one, field.name) == getattr(other, field.name) for field in fields(one))


def _follow(
    name: str,
    path: tuple[str, ...],
    chosen: settings.Settings,
    known: Mapping[str, Deployment],
    found: dict[str, Deployment],
) -> None:
    """Collect the fallbacks of `name`, the end of `path`, in `found`. Errors are reported at their own deployment, and
    cycles once.
    """
    direct = len(path) == 1
    for other in chosen.deployments[name].fallback:
        if other not in known and not direct:
            continue
        deployment = named(other, known)
        assert deployment is not None, "None only for no name"
        if other in path:
            if other == path[0] == min(path):
                raise ConfigError([f"fallback: {' → '.join((*path, other))} is a cycle"])
            continue
        if direct and known[name].family.hybrid and not deployment.family.hybrid:
            name = deployment.family.name
            raise ConfigError([f"fallback: {other} cannot be a fallback: its family {name} has no thinking switch"])
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
        max_output=given.max_output,
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
    """By default hosted APIs, where requests cost money, and unknown families, without known behaviour, are skipped."""
    known = family.host.is_open and not family.passes_through
    return known if given.verify is None else given.verify


def _url(url: str) -> str:
    """A base URL that ends in an API version, as the official SDKs expect; `/v1` is added if it has no path."""
    base = url.rstrip("/")
    if "@" in url.partition("://")[2].partition("/")[0]:
        # The message omits the URL, since errors are printed and logged.
        raise ConfigError(["url: it contains credentials: use api_key_file or api_key_env"])
    try:
        parts = urlsplit(base)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid or url.split() != [url]:
        raise ConfigError([f"url: {url!r} is not an http or https URL"])
    if parts.query or parts.fragment:
        raise ConfigError([f"url: {url!r} is not a base URL: leave out what follows the path"])
    for route in _ROUTES:
        if base.endswith(route):
            raise ConfigError([f"url: {url!r} ends in {route}, which the gateway adds: {base.removesuffix(route)!r}"])
    return base if parts.path else f"{base}/v1"
