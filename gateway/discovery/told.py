"""What probing found, in lines for people: `thinkgate check --probe`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from gateway.discovery.facts import Facts, ability, disagreements
from gateway.discovery.questions import Questions
from gateway.errors import GatewayError
from gateway.types import Deployment
from gateway.upstream import Upstream

_KEPT = {
    "native": "it keeps budgets itself",
    "two-phase": "budgets are kept in two phases",
    "cut": "answers are cut where their thoughts exceed a budget",
    "none": "budgets are not kept",
}


def probe(deployments: Iterable[Deployment]) -> tuple[list[str], bool]:
    """A line for each replica and each disagreement, and whether there was any."""
    return asyncio.run(_probe([one for one in deployments if one.probe]))


async def _probe(deployments: list[Deployment]) -> tuple[list[str], bool]:
    upstream = Upstream({one.name: one for one in deployments})
    await upstream.open()
    try:
        told = await asyncio.gather(*(_replica(upstream, one, url) for one in deployments for url in one.urls))
    finally:
        await upstream.close()
    return [line for lines, _ in told for line in lines], any(disagrees for _, disagrees in told)


async def _replica(upstream: Upstream, deployment: Deployment, url: str) -> tuple[list[str], bool]:
    where = f"Probed {deployment.name} at {url}: "
    try:
        facts = await Questions(upstream, deployment, url).facts()
    except GatewayError as error:
        return [f"{where}it cannot be probed: {error.message}"], False
    found = list(disagreements(facts, deployment))
    family = deployment.family.name
    if not found:
        return [f"{where}as family {family} says; {_seen(facts, deployment)}."], False
    lines = [f"  {one.what}: {one.told}" for one in found]
    return [f"{where}it is not what family {family} says; {_seen(facts, deployment)}.", *lines], True


def _seen(facts: Facts, deployment: Deployment) -> str:
    if not facts.thinks_on:
        return "it was not seen to think"
    counts = "reports" if facts.reports and facts.streamed_reports is not False else "does not always report"
    return f"{_KEPT[ability(facts, deployment).enforcement]}; it {counts} thinking tokens"
