"""What executing a plan came to: a reply that is about to be read."""

from __future__ import annotations

from typing import Any, NamedTuple

from gateway.backends.reply import Reply
from gateway.core.call import Call
from gateway.core.end_text import EndText, parse_end_text
from gateway.core.plan import Enforcement, Plan
from gateway.execution.probe.result import ProbeResult
from gateway.execution.streaming import unrequested_thought
from gateway.execution.streaming.output_stats import OutputStats

# Models may say a word or two before they notice that they are not to think.
MOST_UNREQUESTED = 64
USUAL_END = EndText("<think>", "", "</think>", "", "", ("</think>",))


class Outcome(NamedTuple):
    """`plan` is the one that was really used, and `probe` what became of one before it. `seen` counts what comes by of
    the reply: what is written by the model, no vectors, and no prompt that comes back with its completion.
    """

    call: Call
    plan: Plan
    reply: Reply
    probe: ProbeResult | None
    seen: OutputStats

    @property
    def written(self) -> bool:
        """Whether what comes by is written by the model."""
        passthrough = self.call.passthrough
        return passthrough is None or (passthrough.holds == "choices" and not self.call.echoes)

    @property
    def unrequested_limit(self) -> int | None:
        """How many bytes of a thought are let through, where a key's limit has it that there is none; None: any."""
        applied, guarded = self.plan.applied, self.call.guarded and self.call.passthrough is None
        return MOST_UNREQUESTED if guarded and applied is not None and not applied.think else None

    def cut(self, body: dict[str, Any]) -> bool:
        """End a whole answer where a stream of it would have been; whether it had thought unasked for so long."""
        most = self.unrequested_limit
        if most is None or self.seen.thought_size <= most:
            return False
        unrequested_thought.cut(body, _marks(self.plan).start, most)
        return True

    @property
    def discarded_tokens(self) -> int:
        """Tokens of a probe that nobody gets to see."""
        return self.probe.discarded_tokens if self.probe else 0


def enforced(plan: Plan | None) -> Enforcement | None:
    """Who keeps the budget; None where there is none to keep."""
    if plan is None or plan.applied is None or not plan.applied.think or plan.applied.budget is None:
        return None
    return plan.enforcement


def stats_for(call: Call, plan: Plan) -> OutputStats:
    """To count what comes by of its reply. The end of a thought that a backend forces is looked for where it does not
    belong.
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
    """What a thought begins and ends with where it stands in a text."""
    return parse_end_text(plan.deployment.family.end_text) or USUAL_END
