"""The text report of `thinkgate check --verify`."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection, Iterable
from typing import Literal, NamedTuple

from gateway.backends.discovery.facts import Facts, capability_of, disagreements
from gateway.backends.discovery.questions import Questions
from gateway.backends.transport import Transport
from gateway.core.arm import Arm
from gateway.core.backend_errors import BackendUnreachable
from gateway.core.deployment import Deployment
from gateway.core.efforts import NO_THINKING
from gateway.core.errors import GatewayError

_KEPT = {
    "native": "it enforces budgets itself",
    "two-phase": "budgets are enforced in two phases",
    "cut": "answers are truncated where their reasoning exceeds a budget",
    "none": "budgets are not enforced",
}
Finding = Literal["right", "unreachable", "other"]


class _ReplicaReport(NamedTuple):
    """The report on one replica."""

    finding: Finding
    lines: list[str]


def verify(deployments: Iterable[Deployment], arms: Collection[Arm] = ()) -> tuple[list[str], bool]:
    """Lines per replica with a final summary, and whether anything failed.

    Deployments with `verify` off are only checked for reachability, which costs no tokens. `arms` are those that the
    deployments serve.
    """
    return asyncio.run(_verify(list(deployments), arms))


async def _verify(deployments: list[Deployment], arms: Collection[Arm]) -> tuple[list[str], bool]:
    transport = Transport({one.name: one for one in deployments})
    await transport.open()
    try:
        results = await asyncio.gather(
            *(_replica(transport, one, url, arms) for one in deployments for url in one.urls)
        )
    finally:
        await transport.close()
    summary, failed = _summary([one.finding for one in results])
    return [*(line for one in results for line in one.lines), summary], failed


def _summary(found: list[Finding]) -> tuple[str, bool]:
    wrong = [
        f"{found.count(finding)} {words}"
        for finding, words in (("unreachable", "cannot be used"), ("other", "not what the configuration says"))
        if finding in found
    ]
    many = f"{len(found)} {'backend' if len(found) == 1 else 'backends'} asked"
    return (
        (f"Verification FAILED: of {many}, {' and '.join(wrong)}.", True)
        if wrong
        else (f"Verification OK: {many}.", False)
    )


async def _replica(transport: Transport, deployment: Deployment, url: str, arms: Collection[Arm]) -> _ReplicaReport:
    where = f"Verified {deployment.name} at {url}: "
    questions = Questions(transport, deployment, url)
    try:
        if not deployment.verify:
            if await questions.lists() is False and deployment.family.host.is_open:
                return _ReplicaReport("other", [f"{where}it does not serve the model {deployment.model!r}."])
            return _ReplicaReport("right", [f"{where}it is reachable; its effort control was not verified."])
        facts = await questions.facts()
    except GatewayError as error:
        return _ReplicaReport("unreachable", [f"{where}it cannot be verified: {_why(error)}"])
    family = deployment.family.name
    found = [f"  {one.what}: {one.sentence}" for one in disagreements(facts, deployment)]
    found += [f"  family: {line}" for line in _out_of_place(facts, deployment, arms)]
    if not found:
        return _ReplicaReport("right", [f"{where}as family {family} says; {_seen(facts, deployment)}."])
    return _ReplicaReport("other", [f"{where}it contradicts family {family}; {_seen(facts, deployment)}.", *found])


def _why(error: GatewayError) -> str:
    """The error's message, with the operating system's reason if there is one."""
    cause: BaseException | None = error.__cause__
    while cause is not None and not (isinstance(cause, OSError) and cause.errno):
        cause = getattr(cause, "os_error", None) or cause.__cause__
    if not isinstance(cause, OSError) or cause.errno is None:
        return error.message
    words = os.strerror(cause.errno) if cause.errno > 0 and not cause.filename else cause.strerror or str(cause)
    if not isinstance(error, BackendUnreachable) and not cause.strerror:
        return error.message
    return f"{error.message.removesuffix('.')}: {words} (errno {cause.errno})."


def _out_of_place(facts: Facts, deployment: Deployment, arms: Collection[Arm]) -> Iterable[str]:
    """Why a model without a switch does not fit its place in an arm; it either always or never thinks."""
    if deployment.family.hybrid or facts.thinks_on is None:
        return
    if facts.thinks_on and any(arm.find(NO_THINKING) is deployment for arm in arms):
        yield "it thinks, although an arm uses it for answers without thinking"
    if not facts.thinks_on and any(deployment in arm.thinking for arm in arms):
        yield "it does not think, although an arm uses it for thinking"


def _seen(facts: Facts, deployment: Deployment) -> str:
    if not facts.thinks_on:
        return "no thinking was observed"
    counts = "reports" if facts.reports and facts.streamed_reports is not False else "does not always report"
    return f"{_KEPT[capability_of(facts, deployment).enforcement]}; it {counts} thinking tokens"
