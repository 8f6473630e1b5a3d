"""Checks whether a backend complied with the granted thinking budget."""

from __future__ import annotations

from typing import Literal, NamedTuple

from gateway.backends.reply import EnforcedBudget
from gateway.core.efforts import Effort
from gateway.core.usage import Usage
from gateway.execution.streaming.output_stats import OutputStats

Verdict = Literal["within", "over", "unknown"]
# A count estimated from bytes proves nothing unless it exceeds the budget by this share plus this many tokens.
DOUBT, DOUBT_TOKENS = 0.25, 8


class BudgetCheck(NamedTuple):
    """`used` thinking tokens (None if unknown), as the backend `reported` them or as they were `counted` here.

    `verdict` is None if no budget was granted. `over` is how many tokens exceed it, as far as known. If the reasoning
    had to be truncated, the verdict is `over`, although the client got no more than the budget.
    """

    used: int | None = None
    used_from: Literal["reported", "counted"] | None = None
    verdict: Verdict | None = None
    over: int = 0


def check_budget(
    applied: Effort | None,
    choices: int,
    usage: Usage,
    seen: OutputStats,
    enforced: EnforcedBudget | None,
    hidden: bool = False,
) -> BudgetCheck:
    """`applied` is the effort sent to the backend. Each choice has the whole budget, and only their sum is known.

    `hidden`: the client requested that reasoning is not shown.
    """
    granted = None if applied is None or applied.budget is None else applied.budget * choices
    if enforced is not None and enforced.thought is not None:
        return BudgetCheck(enforced.thought, "counted", "over" if enforced.cut else "within")
    if seen.tagged.pieces:
        used = (usage.reasoning_tokens or seen.thought.tokens) + tagged_tokens(usage.completion_tokens, seen)
        return BudgetCheck(used, "counted", *_judged(used, round(used / (1 + DOUBT)) - DOUBT_TOKENS, granted))
    if usage.reasoning_tokens is not None:
        used = usage.reasoning_tokens
        return BudgetCheck(used, "reported", *_judged(used, used, granted))
    if hidden:
        return BudgetCheck(verdict=None if granted is None else "unknown")
    if usage.completion_tokens is None:
        # Each chunk has at least one token.
        pieces = seen.thought.pieces
        verdict, over = _judged(pieces, pieces, granted)
        surely = verdict == "over" or not pieces
        return BudgetCheck(pieces, "counted", verdict if surely or granted is None else "unknown", over)
    share = seen.thought.size / max(seen.thought.size + seen.answer.size, 1)
    used = max(round(usage.completion_tokens * share), seen.thought.pieces)
    return BudgetCheck(used, "counted", *_judged(used, round(used / (1 + DOUBT)) - DOUBT_TOKENS, granted))


def tagged_tokens(completion: int | None, seen: OutputStats) -> int:
    """Thinking tokens inside the answer's text, between the reasoning tags."""
    if completion is None:
        return seen.tagged.tokens
    return max(round(completion * seen.tagged.size / max(seen.all.size, 1)), 1)


def _judged(used: int, surely: int, granted: int | None) -> tuple[Verdict | None, int]:
    """The verdict, and the excess; `surely` is a lower bound of `used`."""
    if granted is None:
        return None, 0
    if used <= granted:
        return "within", 0
    return ("over", used - granted) if surely > granted else ("unknown", 0)
