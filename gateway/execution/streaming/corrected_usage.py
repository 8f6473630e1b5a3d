"""Corrects implausible usage reports to the gateway's own counts, which records, costs and quotas use too."""

from __future__ import annotations

from typing import Any

from gateway.execution.streaming.output_stats import OutputStats


def correct(usage: dict[str, Any], seen: OutputStats) -> bool:
    """Replace counts that contradict the observed output; returns whether any was replaced."""
    reported = usage.get("completion_tokens")
    details = usage.get("completion_tokens_details")
    details = details if type(details) is dict else {}
    thought = details.get("reasoning_tokens")
    changed = False
    if type(reported) is int and (known := seen.completion(reported)) != reported:
        usage["completion_tokens"] = known
        if type(prompt := usage.get("prompt_tokens")) is int:
            usage["total_tokens"] = prompt + known
        changed = True
    if type(thought) is int and (known := seen.thought.reconciled(thought)) != thought:
        usage["completion_tokens_details"] = {**details, "reasoning_tokens": known}
        changed = True
    return changed
