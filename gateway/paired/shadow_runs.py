"""Has a sample of requests answered again at another effort, once the client has its own answer, and compares them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import replace

from gateway.config.learn import LearnSettings
from gateway.core.call import BYTES_PER_TOKEN, Call
from gateway.core.draw import uniform
from gateway.core.efforts import Effort
from gateway.core.outcome_row import OutcomeRow
from gateway.core.record import Record
from gateway.core.stopping import Stopping
from gateway.execution.recorder import Recorder
from gateway.execution.spare_places import NoSparePlace
from gateway.observability.metrics import Metrics
from gateway.paired import shadow_outcomes
from gateway.paired.counts import PairedCounts
from gateway.paired.eligibility import is_sampled
from gateway.paired.judge import Judge
from gateway.paired.other_end import other_end
from gateway.paired.repeats import Repeats
from gateway.paired.shadow_eligibility import shadow_obstacle, unusable
from gateway.paired.shadow_ledger import ShadowCost, ShadowLedger
from gateway.paired.shadow_pair import ShadowPair
from gateway.pipeline import Pipeline
from gateway.routing.catalogue import PublicModel
from gateway.routing.experiments.given_arm import GivenArm
from gateway.routing.policies.fixed import FixedPolicy
from gateway.routing.prices.spending_book import SpendingBook
from gateway.storage.refusals import Refusals
from gateway.verification.agreement.agreement import compare

log = logging.getLogger("thinkgate")
SALT = "learn"
# What an answer without a limit, and unlimited thinking, are expected to take at most, in tokens.
LONG_ANSWER, LONG_THOUGHT = 1024, 16_384


def is_drawn(id: str, share: float) -> bool:
    """Whether the request with this id of the gateway's own is answered again, if nothing stands in the way."""
    return share > 0 and is_sampled(SALT, id, share)


class ShadowRuns:
    """Those of one application. `learns` says whether the key with an id allows it now, `judged_by` is the judge's
    model. Texts are kept in memory until they are compared, and nowhere else unless the settings allow it.
    """

    def __init__(
        self,
        settings: LearnSettings,
        pipeline: Pipeline,
        ledger: ShadowLedger,
        book: SpendingBook,
        metrics: Metrics,
        stopping: Stopping,
        learns: Callable[[str | None], bool],
        judged_by: PublicModel | None = None,
    ) -> None:
        self._settings = settings
        self._pipeline = pipeline
        self._ledger = ledger
        self._book = book
        self._metrics = metrics.shadows
        self._stopping = stopping
        self._learns = learns
        accounting = replace(
            pipeline.accounting,
            metrics=PairedCounts(metrics.lost, self._metrics.finished),
            observe=self._observe,
            signals=None,
            refusals=Refusals(),
        )
        self._repeats = Repeats(pipeline, accounting)
        self._judge = None if judged_by is None else Judge(judged_by, self._repeats, self._metrics.judged)

    def offer(self, recorder: Recorder) -> None:
        """A client's request has ended, whatever became of it. Returns at once, and never raises."""
        call = recorder.call
        if call is None or not is_drawn(recorder.facts.id, self._settings.shadow):
            return
        try:
            why = self._begin(recorder, call)
        except Exception:
            log.exception("request %s cannot be answered again to learn from it", recorder.facts.request_id)
            why = "failed"
        if why is not None:
            self._metrics.skipped(why)

    async def close(self) -> None:
        await self._repeats.close()

    def _observe(self, record: Record) -> None:
        self._ledger.spend(record, self._book)

    def _begin(self, recorder: Recorder, call: Call) -> str | None:
        """Begin, or say why not."""
        if self._stopping.begun:
            return "stopping"
        why = shadow_obstacle(recorder, call, self._settings.read_only_tools)
        if why is not None:
            return why
        if not self._learns(recorder.facts.principal.key):
            return "opted_out"
        model = self._pipeline.decider.catalogue.find(call.model)
        same = uniform(f"{SALT}\0same\0{recorder.facts.id}") < self._settings.same_effort
        effort = _own(recorder) if same else _other(recorder, model)
        if effort is None:
            return "one_effort"
        pair = ShadowPair.of(recorder, call, effort, same)
        why = self._ledger.begin(pair.facts.id, self._book, self._settings, _expected(recorder, pair))
        if why is None:
            self._repeats.start(self._run(pair), f"shadow of {pair.facts.id}")
        return why

    async def _run(self, pair: ShadowPair) -> None:
        why: str | None = None
        try:
            why = await self._learn(pair)
        except NoSparePlace:
            why = "busy"
        except asyncio.CancelledError:
            why = "gave_way"
            raise
        except Exception:
            log.exception("nothing could be learned from request %s", pair.facts.request_id)
            why = "failed"
        finally:
            self._ledger.end(pair.facts.id, self._book)
            if why is not None:
                self._metrics.skipped(why)

    async def _learn(self, pair: ShadowPair) -> str | None:
        """None: outcomes are stored; else why there are none."""
        policy = FixedPolicy(pair.effort, "shadow")
        decider = replace(self._pipeline.decider, experiments=GivenArm(pair.arm, policy=policy))
        call = replace(pair.call, requested=None, effort_word="auto", dial=None)
        shadow = await self._repeats.answer(pair.facts, call, decider, texts=True)
        why = unusable(shadow)
        if why is not None or shadow.plan is None or shadow.collector is None:
            return f"shadow_{why}"
        if (shadow.plan.words == pair.applied) is not pair.same_effort:
            return "effort_not_applied"
        answer = shadow.collector.answer(shadow.finish_reason)
        agreement = await asyncio.to_thread(compare, pair.answer, answer)
        self._metrics.compared(pair.same_effort, agreement.verdict, agreement.by)
        texts = shadow_outcomes.texts(pair, answer.text) if self._settings.text else None
        found = [*shadow_outcomes.of_agreement(pair, agreement, texts)]
        if agreement == ("unknown", "text") and self._judge is not None:
            judgement = await self._judge.compare(pair, answer.text)
            if judgement is None:
                return "undecided"
            found = self._judge.usable(shadow_outcomes.of_judgement(pair, shadow.facts.id, judgement, texts))
        elif not found:
            return "undecided"
        return await self._store(found)

    async def _store(self, outcomes: Iterable[OutcomeRow]) -> str | None:
        why = None
        for outcome in outcomes:
            # Its key may have opted out meanwhile.
            if self._learns(outcome.key):
                await asyncio.to_thread(self._pipeline.accounting.records.rate, outcome)
            else:
                why = "opted_out"
        return why


def _own(recorder: Recorder) -> Effort | None:
    return None if recorder.plan is None else recorder.plan.effort


def _other(recorder: Recorder, model: PublicModel) -> Effort | None:
    assignment, planned = recorder.assignment, recorder.planned
    if assignment is None or planned is None or planned.plan.applied is None:
        return None
    allows = model.with_arm(assignment.arm).policy.allows
    return other_end(assignment.arm, planned.plan.applied, allows, planned.call.ceiling)


def _expected(recorder: Recorder, pair: ShadowPair) -> ShadowCost:
    """What its answer will take at most, as far as that can be known before."""
    budget = pair.effort.budget if pair.effort.budget is not None else LONG_THOUGHT
    answer = max(LONG_ANSWER, 2 * len(pair.answer.text) // BYTES_PER_TOKEN)
    # The client's limit may be on the answer alone.
    tokens = float(budget + (answer if pair.call.limit is None else min(answer, pair.call.limit)))
    deployment = pair.arm.find(pair.effort)
    prompt = recorder.counts.usage.prompt_tokens or pair.call.prompt_tokens
    dollars = 0.0 if deployment is None else deployment.pricing.cost(prompt, round(tokens))
    return ShadowCost(tokens, dollars)
