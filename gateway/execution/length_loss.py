"""Answers that thinking left no room for: a failure of the effort, not of the model."""

from __future__ import annotations

from gateway.execution.recorder import Recorder
from gateway.execution.streaming.budget_check import DOUBT_TOKENS, BudgetCheck

METRIC, SOURCE = "outcome", "implicit:length"


def lost_to_length(recorder: Recorder, checked: BudgetCheck) -> bool:
    """Whether the answer ended at its limit of tokens because of its thinking: it is empty, or shorter than the client
    allowed it to be.

    An answer that is as long as its client's limit ended where the client wanted it to.
    """
    planned = recorder.planned
    if planned is None or recorder.broke_off or recorder.finish_reason != "length":
        return False
    call, plan, used = planned.call, planned.plan, checked.used
    if call.passthrough is not None or plan.applied is None or not (used or plan.applied.think):
        return False
    if not recorder.seen.answer.pieces:
        return True
    completion = recorder.counts.usage.completion_tokens
    if call.limit is None or completion is None or not used or call.choices > 1:
        return False
    return completion - used + DOUBT_TOKENS < call.limit


def note_of(checked: BudgetCheck) -> str:
    spent = "" if checked.used is None else f" ({checked.used} tokens)"
    return f"thinking{spent} left the answer too little room: it ended at its limit. Allow more tokens or less effort"
