"""One model that learns: what is known of it, and the next step of its versions."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gateway import assembly
from gateway.assembly.served_versions import CANARY, canary_obstacle, configured_version
from gateway.backends.latency import LatencyModels, latency_models_of
from gateway.commands import judged_requests
from gateway.commands.observed import Observed, forecast_of, observed
from gateway.config.settings import Settings
from gateway.core.deployment import Deployment
from gateway.core.errors import ConfigError
from gateway.core.record_query import RecordQuery
from gateway.core.router_version import RouterVersion, VersionsOfModel
from gateway.routing.catalogue import PublicModel
from gateway.routing.effort_router.learned import LearnedArm, PredictorRouter
from gateway.routing.experiments.journal import Journal
from gateway.routing.experiments.state import Phase
from gateway.storage.protocol import RecordArchive
from gateway.storage.router_versions import RouterVersions
from router_model.data.outcomes import OutcomeError
from router_model.learning import drift, learner, promotion, version_card
from router_model.learning.promotion import Evidence
from router_model.model import artifact_reader, artifact_writer, kept_features, predict
from router_model.model.artifact import ArtifactError

Json = dict[str, Any]
BY_GUARDRAIL = "arm_stopped"
# The newest requests that are looked at for a change.
MOST_WATCHED = 20_000


def learning_models(chosen: Settings) -> Iterator[LearningModel]:
    """ConfigError: the settings cannot be served."""
    known = assembly.deployments(chosen)
    paces = latency_models_of(known.values())
    for model in assembly.catalogue(chosen, known, paces):
        router = chosen.models[model.name].router
        version = configured_version(router)
        if chosen.models[model.name].policy.needs_router and version is not None:
            yield LearningModel(chosen, model, router, version, known, paces, assembly.archive(chosen))


@dataclass(frozen=True, slots=True)
class LearningModel:
    """`router` is the configured one, by name or folder, from which every version is learned anew."""

    chosen: Settings
    model: PublicModel
    router: str
    configured: str
    deployments: Mapping[str, Deployment]
    paces: LatencyModels
    archive: RecordArchive

    @property
    def name(self) -> str:
        return self.model.name

    def step(self, store: RouterVersions, now: float, dry_run: bool) -> Json:
        """Judge what is tried, then learn anew. RecordsUnavailable, ConfigError, OSError."""
        found = self._known(store)
        seen = self._observed()
        told: Json = {
            "sources": seen.sources(),
            "left_out": dict(seen.left_out),
            "notes": [],
            "evidence": [],
        }
        before = found
        found = replace(found, drift=self._drift(found, seen))
        told["drift"] = found.drift
        found = self._judged(store, found, seen, now, told)
        found, made = self._learned(found, seen, now, told)
        if not dry_run:
            if made is not None:
                self._save(store, made, seen)
            if found != before:
                store.change(self.name, lambda current: _merged(current, before, found))
        serving = found.serving
        return {"serving": self.configured if serving is None else serving.version, **told}

    def _known(self, store: RouterVersions) -> VersionsOfModel:
        found = store.read().get(self.name)
        # What was learned from another router is of no use: its features are others.
        return found if found is not None and found.configured == self.configured else VersionsOfModel(self.configured)

    def _observed(self) -> Observed:
        encoding = predict.load(self.router).encoding
        learns = assembly.authenticator(self.chosen.access, lambda why: None).learns
        rated = self.archive.rated(RecordQuery(model=self.name, paired=True))
        return observed(rated, encoding, self.deployments, learns if self.chosen.access.required else lambda key: True)

    def _drift(self, found: VersionsOfModel, seen: Observed) -> dict[str, str]:
        """What of the traffic has changed since the version that serves does so."""
        since = 0.0 if found.serving is None else found.serving.since
        right = {one.request: one.right for one in seen.observations if not one.background}
        watched = deque[drift.Watched](maxlen=MOST_WATCHED)
        for record, _ in self.archive.rated(RecordQuery(model=self.name, since=since)):
            kept = kept_features.load(record.features) if record.features else None
            if kept is not None:
                watched.append(drift.Watched(kept.novelty, forecast_of(record), right.get(record.id)))
        return drift.drift(watched)

    def _judged(
        self, store: RouterVersions, found: VersionsOfModel, seen: Observed, now: float, told: Json
    ) -> VersionsOfModel:
        candidate = found.candidate
        if candidate is None:
            return found
        stopped = self._stopped(candidate)
        if stopped is not None:
            told["notes"].append(f"{candidate.version} is retired: {stopped}")
            return found.retire(candidate.version, now, stopped)
        try:
            evidence = self._evidence(store, found, candidate, seen)
        except ArtifactError as error:
            told["notes"].append(f"{candidate.version} is retired: {error}")
            return found.retire(candidate.version, now, str(error))
        told["evidence"] = [one.as_json() for one in evidence]
        shown = replace(candidate, evidence={"estimates": told["evidence"], "at": now})
        found = found.changed(lambda one: shown if one.version == candidate.version else one)
        state, why = self._next(candidate, evidence, now)
        if state is None:
            told["notes"].append(f"{candidate.version} stays in {candidate.state}: {why}")
            return found
        told["notes"].append(f"{candidate.version} goes from {candidate.state} to {state}: {why}")
        if state == "serving":
            return found.serve(candidate.version, now, why)
        return found.changed(lambda one: one.moved(state, now, why) if one.version == candidate.version else one)

    def _next(self, candidate: RouterVersion, evidence: list[Evidence], now: float) -> tuple[Any, str]:
        """The state that it goes to, None: it stays; and why."""
        level = f"{self.chosen.learn.level:.0%}"
        if promotion.is_worse(evidence):
            return "retired", f"it is worse than the version that serves, with a confidence of {level}"
        if promotion.is_better(evidence):
            return "serving", f"it is better than the version that served, with a confidence of {level}"
        if max(now - candidate.made, 0.0) > self.chosen.learn.give_up_s:
            return "retired", f"it has not proved to be better in {self.chosen.learn.give_up}"
        if candidate.state == CANARY:
            return None, "not enough is known to tell it from the version that serves"
        obstacle = canary_obstacle(self.chosen, self.name)
        if obstacle is not None:
            return None, f"no share of units can be given to it: {obstacle}"
        if max(one.units for one in evidence) < promotion.LEAST_UNITS and not self._has_traffic(candidate):
            return None, "too little traffic has come since it was made"
        return CANARY, f"it decides for {self.chosen.learn.canary:.0%} of units"

    def _has_traffic(self, candidate: RouterVersion) -> bool:
        query = RecordQuery(model=self.name, since=candidate.made, limit=promotion.LEAST_UNITS)
        return sum(1 for _ in self.archive.rated(query)) >= promotion.LEAST_UNITS

    def _stopped(self, candidate: RouterVersion) -> str | None:
        """What a guardrail has said of it, if one has stopped it."""
        events = Journal(self.chosen.experiments_path).events()
        own = [one for one in events if one.experiment == candidate.experiment and one.action == BY_GUARDRAIL]
        return own[-1].why if own else None

    def _evidence(
        self, store: RouterVersions, found: VersionsOfModel, candidate: RouterVersion, seen: Observed
    ) -> list[Evidence]:
        """ArtifactError: one of the two is gone."""
        serving = found.serving
        old = self.router if serving is None else str(store.artifact(self.name, serving.version))
        served, tried = self._prepared(old), self._prepared(str(store.artifact(self.name, candidate.version)))
        rated = self.archive.rated(RecordQuery(model=self.name, since=candidate.made))
        phases = self._phases(candidate)
        trial = judged_requests.trial(self.model, served, tried, rated, seen.observations, candidate.experiment, phases)
        return promotion.evidence(trial, self.chosen.learn.level)

    def _phases(self, candidate: RouterVersion) -> list[Phase]:
        share = self.chosen.learn.canary
        phases = [Phase(0.0, {CANARY: share, "served": 1 - share})]
        for event in Journal(self.chosen.experiments_path).events():
            if event.experiment == candidate.experiment and event.weights:
                phases.append(Phase(event.time, dict(event.weights)))
        return phases

    def _prepared(self, router: str) -> LearnedArm:
        """ArtifactError: it is missing, or knows nothing of the model's deployments."""
        loaded: Any = predict.load(router)
        arm = self.model.arms[0]
        prepared = PredictorRouter(loaded, self.paces).prepare_learned(arm, self.model.policy.probe_use)
        if prepared is None:
            raise ArtifactError(f"router {loaded.version} knows none of the deployments of model {self.name}")
        return prepared

    def _learned(
        self, found: VersionsOfModel, seen: Observed, now: float, told: Json
    ) -> tuple[VersionsOfModel, learner.Learned | None]:
        candidate = found.candidate
        if candidate is not None and candidate.state == CANARY:
            told["notes"].append(f"nothing new is made while {candidate.version} proves itself")
            return found, None
        learn = self.chosen.learn
        settings = learner.LearnSettings(now, learn.forget_s, learn.most_of_key)
        try:
            made = learner.learn(
                artifact_reader.load(self.router), seen.observations, _plain(self.name), settings, lambda line: None
            )
        except (OutcomeError, ArtifactError) as error:
            told["notes"].append(f"no new version: {error}")
            return found, None
        version = made.artifact.version
        if found.find(version) is not None:
            told["notes"].append(f"no new version: the outcomes say what {version} has learned already")
            return found, None
        told["notes"].append(f"{version} was made from {made.about['learned_from']} requests, and runs in shadow")
        made = learner.Learned(made.artifact, {**made.about, "sources": seen.sources()})
        why = "made from recorded traffic"
        return found.with_version(RouterVersion(version, "shadow", now, now, why, made.about), now), made

    def _save(self, store: RouterVersions, made: learner.Learned, seen: Observed) -> None:
        folder: Path = store.artifact(self.name, made.artifact.version)
        artifact_writer.save(made.artifact, folder, version_card.text(made))


def _merged(current: VersionsOfModel | None, before: VersionsOfModel, after: VersionsOfModel) -> VersionsOfModel:
    """ConfigError: somebody has changed the versions meanwhile, and what was judged is no longer so."""
    same = current is None or current.configured != after.configured or current == before
    if not same:
        raise ConfigError(["the versions were changed meanwhile: run this again"])
    return after


def _plain(name: str) -> str:
    """Versions are parts of headers and of paths."""
    kept = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "-_") else "-" for letter in name)
    return kept[:60] or "router"
