"""Has a model compare two free texts, blind, in both orders. It learns neither efforts nor models."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from gateway.core.call import Call
from gateway.core.efforts import NO_THINKING, size
from gateway.core.outcome_row import OutcomeRow
from gateway.execution.recorder import Recorder
from gateway.paired import judgement
from gateway.paired.judgement import Judgement, JudgeRecord
from gateway.paired.repeats import Repeats
from gateway.paired.shadow_pair import ShadowPair
from gateway.routing.catalogue import Catalogue, PublicModel
from gateway.routing.experiments.given_arm import GivenArm
from gateway.routing.policies.fixed import FixedPolicy

log = logging.getLogger("thinkgate")
# In characters: longer texts are not judged.
MOST_QUESTION, MOST_ANSWER = 16_000, 16_000
# Room for one word.
REPLY_TOKENS = 16
RULES = (
    "You compare two answers to the same request. Judge only whether what they say is right and does what was "
    "requested; length and style do not count. Reply with exactly one word: A if answer A is better, B if answer B is "
    "better, TIE if they are equally good."
)

LAST_WORDS = "Which answer is better? Reply with one word: A, B or TIE."


@dataclass(frozen=True, slots=True)
class Judge:
    """`model` is asked without thinking where it can do without. `count` is told each verdict, in a word."""

    model: PublicModel
    repeats: Repeats
    count: Callable[[str], None]
    record: JudgeRecord = field(default_factory=JudgeRecord)
    _waiting: list[OutcomeRow] = field(default_factory=list)

    def usable(self, outcomes: Iterable[OutcomeRow]) -> list[OutcomeRow]:
        """What can be stored now of outcomes by its judgements: nothing until it is known, and nothing of a judge whose
        word depends on the order alone.
        """
        if self.record.is_useless:
            self._waiting.clear()
            return []
        self._waiting.extend(outcomes)
        if not self.record.is_known:
            return []
        found = [*self._waiting]
        self._waiting.clear()
        return found

    async def compare(self, pair: ShadowPair, other: str) -> Judgement | None:
        """Of the client's answer (first) and the `other` one; None: no judgement can be used. As `Repeats.answer`."""
        question = _question(pair.call.body)
        if question is None or len(question) > MOST_QUESTION or max(len(pair.answer.text), len(other)) > MOST_ANSWER:
            self.count("too_long" if question else "no_text")
            return None
        if self.record.is_useless:
            self.count("not_used")
            return None
        straight = await self._ask(pair, question, pair.answer.text, other)
        swapped = await self._ask(pair, question, other, pair.answer.text)
        self.count(judgement.both_orders(straight, swapped))
        found = self.record.add(straight, swapped)
        if self.record.is_useless:
            self._waiting.clear()
            log.warning(
                "the judge %s is no longer used: %d of its %d judgements depended on the order of the answers or had "
                "another form than it was told to give",
                self.model.name,
                self.record.useless,
                self.record.verdicts,
            )
            return None
        return found

    async def _ask(self, pair: ShadowPair, question: str, shown_first: str, shown_second: str) -> Judgement | None:
        decider = self.repeats.pipeline.decider
        arm = self.model.arms[0]
        effort = NO_THINKING if arm.find(NO_THINKING) is not None else min(arm.efforts, key=size)
        given = GivenArm(arm, policy=FixedPolicy(effort, "judge"))
        decider = replace(decider, catalogue=Catalogue({self.model.name: self.model}), experiments=given)
        call = judging(self.model.name, question, shown_first, shown_second, None if effort.think else REPLY_TOKENS)
        call = replace(call, key=pair.call.key)
        recorder: Recorder = await self.repeats.answer(pair.facts, call, decider, texts=True)
        if recorder.collector is None or recorder.broke_off:
            return None
        return judgement.read(recorder.collector.answer(recorder.finish_reason).text)


def judging(model: str, question: str, shown_first: str, shown_second: str, limit: int | None) -> Call:
    """A request to the judge. `limit` is on all that it generates, in tokens."""
    content = f"Request:\n{question}\n\nAnswer A:\n{shown_first}\n\nAnswer B:\n{shown_second}\n\n{LAST_WORDS}"
    messages = [{"role": "system", "content": RULES}, {"role": "user", "content": content}]
    body: dict[str, Any] = {"model": model, "messages": messages, "temperature": 0}
    body |= {} if limit is None else {"max_tokens": limit}
    size = len(content) + len(RULES)
    return Call("", "chat", model, body, limit=limit, size=size)


def _question(body: dict[str, Any]) -> str | None:
    """What the user said last; None: nothing in words."""
    for message in reversed(body.get("messages") or ()):
        if isinstance(message, dict) and message.get("role") == "user":
            content = message.get("content")
            parts = [content] if isinstance(content, str) else [_text(part) for part in content or ()]
            return "\n".join(filter(None, parts)) or None
    return None


def _text(part: Any) -> str:
    text = part.get("text") if isinstance(part, dict) else None
    return text if isinstance(text, str) else ""
