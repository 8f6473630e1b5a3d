"""Whether a backend kept to the budget it was given: what it used, against what was granted."""

from __future__ import annotations

from typing import Literal, NamedTuple

from gateway.backends.reply import EnforcedBudget
from gateway.core.efforts import Effort
from gateway.core.usage import Usage
from gateway.execution.streaming.output_stats import OutputStats

Verdict = Literal["within", "over", "unknown"]
# A count by bytes is an estimate: so much above the budget it is still no proof, as a share and in tokens.
DOUBT, DOUBT_TOKENS = 0.25, 8


class BudgetCheck(NamedTuple):
    """`used` tokens of thinking (None: nobody can tell), as the backend `reported` them or as they were `counted` here.

    `verdict` is None where no budget was granted. `over` is by how many tokens it was exceeded, as far as can be told.
    A backend whose thought had to be cut has exceeded its budget, though what was let through has not.
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
    kept: EnforcedBudget | None,
    hidden: bool = False,
) -> BudgetCheck:
    """`applied` is what the backend was told. Of several choices only the sum is known: each has the whole budget.

    `hidden`: the thought was not to be shown.
    """
    granted = None if applied is None or applied.budget is None else applied.budget * choices
    if kept is not None and kept.thought is not None:
        return BudgetCheck(kept.thought, "counted", "over" if kept.cut else "within")
    if seen.tagged.pieces:
        used = (usage.reasoning_tokens or seen.thought.tokens) + tagged_tokens(usage.completion_tokens, seen)
        return BudgetCheck(used, "counted", *_judged(used, round(used / (1 + DOUBT)) - DOUBT_TOKENS, granted))
    if usage.reasoning_tokens is not None:
        used = usage.reasoning_tokens
        return BudgetCheck(used, "reported", *_judged(used, used, granted))
    if hidden:
        return BudgetCheck(verdict=None if granted is None else "unknown")
    if usage.completion_tokens is None:
        # Pieces are tokens at least.
        pieces = seen.thought.pieces
        verdict, over = _judged(pieces, pieces, granted)
        surely = verdict == "over" or not pieces
        return BudgetCheck(pieces, "counted", verdict if surely or granted is None else "unknown", over)
    share = seen.thought.size / max(seen.thought.size + seen.answer.size, 1)
    used = max(round(usage.completion_tokens * share), seen.thought.pieces)
    return BudgetCheck(used, "counted", *_judged(used, round(used / (1 + DOUBT)) - DOUBT_TOKENS, granted))


def tagged_tokens(completion: int | None, seen: OutputStats) -> int:
    """Tokens of a thought that is in the answer's text, between its marks."""
    if completion is None:
        return seen.tagged.tokens
    return max(round(completion * seen.tagged.size / max(seen.all.size, 1)), 1)


def _judged(used: int, surely: int, granted: int | None) -> tuple[Verdict | None, int]:
    """`surely` is what was used at least."""
    if granted is None:
        return None, 0
    if used <= granted:
        return "within", 0
    return ("over", used - granted) if surely > granted else ("unknown", 0)
