"""Verifies deployments in the background: on start, and whenever they may have changed."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from gateway.backends.capabilities import Capabilities
from gateway.backends.discovery.facts import WHATS, Disagreement, Facts, capability_of, disagreements, weakest
from gateway.backends.discovery.questions import Questions
from gateway.backends.transport import Transport
from gateway.core.deployment import Deployment
from gateway.core.errors import GatewayError

log = logging.getLogger("thinkgate")


class DiscoveryPace(NamedTuple):
    """Seconds between checks of what each replica serves, before an unreachable one is retried, and at least between
    two verifications of one replica.
    """

    watch_s: float = 60.0
    first_s: float = 2.0
    least_s: float = 30.0


PACE = DiscoveryPace()

# Called with a deployment, one respect of its family row, and whether the deployment contradicts it.
Notify = Callable[[str, str, bool], None]


class Discovery:
    """`start` and `stop` it with the application. Requests never wait for it."""

    def __init__(
        self,
        transport: Transport,
        deployments: Iterable[Deployment],
        capabilities: Capabilities,
        notify: Notify,
        pace: DiscoveryPace = PACE,
    ) -> None:
        self._watches = {
            one.name: _DeploymentWatch(transport, one, capabilities, notify, pace) for one in deployments if one.verify
        }
        self._tasks: list[asyncio.Task[None]] = []
        capabilities.on_violation = self.again
        transport.returned = self.again

    def start(self) -> None:
        self._tasks = [asyncio.create_task(watch.run()) for watch in self._watches.values()]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def again(self, deployment: str) -> None:
        """Verify a deployment again, as it may have changed."""
        watch = self._watches.get(deployment)
        if watch is not None:
            watch.request()


def conclude(deployment: Deployment, all_facts: Iterable[Facts], capabilities: Capabilities) -> None:
    """Set a deployment's budget enforcement from what was observed at its replicas."""
    served = [capability_of(facts, deployment) for facts in all_facts if facts.served]
    if served:
        capabilities.learn(deployment.name, weakest(served))


async def learn(transport: Transport, deployments: Iterable[Deployment], capabilities: Capabilities) -> None:
    """Verify all reachable deployments once, and wait for it."""
    for deployment in deployments:
        seen: list[Facts] = []
        for url in deployment.urls if deployment.verify else ():
            try:
                seen.append(await Questions(transport, deployment, url).facts())
            except GatewayError as error:
                log.warning("deployment %s: %s cannot be verified: %s", deployment.name, url, error.for_log())
        conclude(deployment, seen, capabilities)


class _DeploymentWatch:
    """One deployment, all of its replicas."""

    def __init__(
        self,
        transport: Transport,
        deployment: Deployment,
        capabilities: Capabilities,
        notify: Notify,
        pace: DiscoveryPace,
    ) -> None:
        self._deployment, self._capabilities, self._notify, self._pace = deployment, capabilities, notify, pace
        self._questions = {url: Questions(transport, deployment, url) for url in deployment.urls}
        self._signatures: dict[str, bytes] = {}
        self._facts: dict[str, Facts] = {}
        self._logged: frozenset[Disagreement] = frozenset()
        self._requested = asyncio.Event()
        self._verified_at = 0.0

    def request(self) -> None:
        self._requested.set()

    async def run(self) -> None:
        delay, pace = self._pace.first_s, self._pace
        while True:
            requested = self._requested.is_set()
            self._requested.clear()
            try:
                reached = await self._verify(requested)
            except Exception:
                # A failed verification must not affect requests.
                log.exception("deployment %s: its verification failed inside the gateway", self._deployment.name)
                reached = True
            delay = pace.watch_s if reached else min(2 * delay, pace.watch_s)
            try:
                async with asyncio.timeout(delay):
                    await self._requested.wait()
            except TimeoutError:
                continue
            await asyncio.sleep(max(self._verified_at + pace.least_s - time.monotonic(), 0.0))

    async def _verify(self, requested: bool) -> bool:
        """Verify replicas that are new, changed or `doubted`; returns whether all could be reached."""
        reached, changed = True, False
        for url, questions in self._questions.items():
            try:
                signature = await questions.signature()
                if requested or self._signatures.get(url) != signature:
                    self._facts[url] = await questions.facts()
                    self._signatures[url] = signature
                    changed = True
                    self._verified_at = time.monotonic()
            except GatewayError as error:
                reached = False
                log.info("deployment %s: %s cannot be verified now: %s", self._deployment.name, url, error.for_log())
        if changed:
            self._conclude()
        return reached

    def _conclude(self) -> None:
        deployment, all_facts = self._deployment, list(self._facts.values())
        conclude(deployment, all_facts, self._capabilities)
        found = frozenset(one for facts in all_facts for one in disagreements(facts, deployment))
        for what in WHATS:
            self._notify(deployment.name, what, any(one.what == what for one in found))
        for one in sorted(found - self._logged):
            log.warning(
                "deployment %s contradicts family %s: %s", deployment.name, deployment.family.name, one.sentence
            )
        self._logged = found
