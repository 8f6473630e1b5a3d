"""Versions of a router that were learned from traffic, and what has become of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

VersionState = Literal["shadow", "canary", "serving", "retired"]
STATES: tuple[VersionState, ...] = get_args(VersionState)


@dataclass(frozen=True, slots=True)
class RouterVersion:
    """`made` and `since` (when it came into its state) are in seconds since 1970; `why` is a sentence about that.

    `about` says what it was learned from, `evidence` how it compares with the one that serves, both as JSON.
    """

    version: str
    state: VersionState
    made: float
    since: float
    why: str
    about: dict[str, Any] = field(default_factory=dict)
    evidence: dict[str, Any] = field(default_factory=dict)

    @property
    def experiment(self) -> str:
        """What shares units out between it and the version that serves."""
        return f"canary-{self.version}"

    def moved(self, state: VersionState, now: float, why: str) -> RouterVersion:
        return replace(self, state=state, since=now, why=why)


@dataclass(frozen=True, slots=True)
class VersionsOfModel:
    """`configured` is the version of the router that the configuration names, which serves where no other does, and
    from which all were learned; `drift` says what of the traffic changes (JSON; nothing: it is as it was).
    """

    configured: str
    versions: tuple[RouterVersion, ...] = ()
    drift: dict[str, Any] = field(default_factory=dict)

    @property
    def serving(self) -> RouterVersion | None:
        return next(self._in("serving"), None)

    @property
    def candidate(self) -> RouterVersion | None:
        """The one that is to prove itself."""
        return next(self._in("canary"), None) or next(self._in("shadow"), None)

    def find(self, version: str) -> RouterVersion | None:
        return next((one for one in self.versions if one.version == version), None)

    def before(self) -> RouterVersion | None:
        """The one that served before the one that does."""
        return max(
            (one for one in self.versions if one.state == "retired" and one.about.get("served")),
            key=lambda one: one.since,
            default=None,
        )

    def with_version(self, made: RouterVersion, now: float) -> VersionsOfModel:
        """With one more, which takes the place of what has not begun to prove itself."""

        def superseded(one: RouterVersion) -> RouterVersion:
            return one.moved("retired", now, f"{made.version} has seen more") if one.state == "shadow" else one

        return self.changed(superseded, made)

    def serve(self, version: str, now: float, why: str) -> VersionsOfModel:
        """Version `version` serves from now on; the one that did is retired."""

        def moved(one: RouterVersion) -> RouterVersion:
            if one.version == version:
                marked = replace(one, about={**one.about, "served": True})
                return marked.moved("serving", now, why)
            return one.moved("retired", now, f"{version} serves") if one.state == "serving" else one

        return self.changed(moved)

    def retire(self, version: str, now: float, why: str) -> VersionsOfModel:
        return self.changed(lambda one: one.moved("retired", now, why) if one.version == version else one)

    def changed(self, by: Callable[[RouterVersion], RouterVersion], *more: RouterVersion) -> VersionsOfModel:
        return replace(self, versions=(*map(by, self.versions), *more))

    def _in(self, state: VersionState) -> Iterator[RouterVersion]:
        return (one for one in self.versions if one.state == state)
