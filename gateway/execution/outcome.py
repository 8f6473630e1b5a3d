"""The outcome of executing a plan: a reply that is about to be read."""

from __future__ import annotations

from typing import Any, NamedTuple

from gateway.backends.reply import Reply
from gateway.core.call import Call
from gateway.core.end_text import EndText, parse_end_text
from gateway.core.plan import Enforcement, Plan
from gateway.execution.probe.result import ProbeResult
from gateway.execution.streaming import unrequested_thought
from gateway.execution.streaming.output_stats import OutputStats

# Bytes of reasoning to tolerate although thinking is off, as models may begin with a word or two of it.
MOST_UNREQUESTED = 64
USUAL_END = EndText("<think>", "", "</think>", "", "", ("</think>",))


class Outcome(NamedTuple):
    """`plan` is the one that was used in the end, `probe` the result of a preceding probe. `seen` counts the output
    that the model wrote; it stays empty for embeddings, and for completions that echo their prompt.
    """

    call: Call
    plan: Plan
    reply: Reply
    probe: ProbeResult | None
    seen: OutputStats

    @property
    def written(self) -> bool:
        """Whether all of the reply's text is written by the model."""
        passthrough = self.call.passthrough
        return passthrough is None or (passthrough.holds == "choices" and not self.call.echoes)

    @property
    def unrequested_limit(self) -> int | None:
        """How many bytes of reasoning may pass where the key's limit forbids thinking; None: no limit."""
        applied, guarded = self.plan.applied, self.call.guarded and self.call.passthrough is None
        return MOST_UNREQUESTED if guarded and applied is not None and not applied.think else None

    def cut(self, body: dict[str, Any]) -> bool:
        """Truncate a whole answer whose unrequested reasoning exceeds the limit; returns whether it did."""
        most = self.unrequested_limit
        if most is None or self.seen.thought_size <= most:
            return False
        unrequested_thought.cut(body, _marks(self.plan).start, most)
        return True

    @property
    def discarded_tokens(self) -> int:
        """Tokens of a probe that was discarded."""
        return self.probe.discarded_tokens if self.probe else 0


def enforced(plan: Plan | None) -> Enforcement | None:
    """How the plan's budget is enforced; None if it has none."""
    if plan is None or plan.applied is None or not plan.applied.think or plan.applied.budget is None:
        return None
    return plan.enforcement


def stats_for(call: Call, plan: Plan) -> OutputStats:
    """The statistics for the plan's reply. They also find an end-of-reasoning tag that a backend has forced into a tool
    call.
    """
    seen = OutputStats()
    if call.guarded:
        marks = _marks(plan)
        seen.look_for(marks.start, marks.mark)
    if enforced(plan) == "native":
        end = parse_end_text(plan.deployment.family.end_text)
        seen.mark = end.mark if end is not None else ""
    return seen


def _marks(plan: Plan) -> EndText:
    """The tags around reasoning inside a text."""
    return parse_end_text(plan.deployment.family.end_text) or USUAL_END
