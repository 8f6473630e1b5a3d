"""Counts a request's tokens once, for its record, its cost and its key's quotas.

The backend's report is used unless more output was observed. Without a report (the client hung up, the answer broke
off, the backend never reports) the observed output is counted. Hidden reasoning, and a plain answer that was not
awaited, cannot be counted: the tokens reserved for them are charged.
"""

from __future__ import annotations

from typing import NamedTuple

from gateway.backends.reply import EnforcedBudget
from gateway.core.call import Call
from gateway.core.plan import Plan
from gateway.core.usage import Usage
from gateway.execution.streaming.budget_check import BudgetCheck, tagged_tokens
from gateway.execution.streaming.output_stats import OutputStats


class Counted(NamedTuple):
    """`usage` has None for unknown counts. `unseen`: it does not include hidden reasoning."""

    usage: Usage
    unseen: bool = False


def count(
    call: Call,
    plan: Plan,
    usage: Usage,
    seen: OutputStats,
    enforced: EnforcedBudget | None,
    checked: BudgetCheck | None,
) -> Counted:
    """`usage` is what was reported, `checked` the budget check of a complete answer; None: it broke off."""
    so_far = Usage() if enforced is None else enforced.so_far()
    prompt = usage.prompt_tokens or so_far.prompt_tokens or call.prompt_tokens
    unobserved = call.echoes or (not call.stream and checked is None)
    if unobserved and not so_far.completion_tokens and usage.completion_tokens is None:
        return Counted(Usage(prompt, cached_tokens=usage.cached_tokens))
    completion = max(seen.completion(usage.completion_tokens), so_far.completion_tokens or 0)
    if checked is None and call.stream:
        # One token of each choice may have been in transit.
        completion = max(completion, call.choices if call.passthrough is None or call.limit else 0)
    thought = _thought(plan, usage, seen, so_far, checked)
    if seen.tagged.pieces:
        thought = min((usage.reasoning_tokens or seen.thought.tokens) + tagged_tokens(completion, seen), completion)
    charged = Usage(prompt, completion, thought, usage.cached_tokens)
    return Counted(charged, checked is None and thought is None and _hidden(plan))


def _thought(plan: Plan, usage: Usage, seen: OutputStats, so_far: Usage, checked: BudgetCheck | None) -> int | None:
    known = so_far.reasoning_tokens if usage.reasoning_tokens is None else usage.reasoning_tokens
    if known is None and checked is not None and usage.completion_tokens is not None:
        known = checked.used
    if known is not None or seen.thought.pieces:
        return max(seen.thought.reconciled(known), so_far.reasoning_tokens or 0)
    return None if plan.applied is None or _hidden(plan) else 0


def _hidden(plan: Plan) -> bool:
    """Whether the model may think without showing its reasoning."""
    if plan.applied is None or not plan.applied.think:
        return False
    return not plan.deployment.family.answer_field or plan.body.get("include_reasoning") is False
