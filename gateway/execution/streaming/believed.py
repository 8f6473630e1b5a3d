"""Usage as clients are told it: what the backend reports, unless that cannot be. Then it is what came by, which is what
records, costs and quotas have, too.
"""

from __future__ import annotations

from typing import Any

from gateway.execution.streaming.output_stats import OutputStats


def correct(usage: dict[str, Any], seen: OutputStats) -> bool:
    """Put the counts in that are believed; whether any is another one than was reported."""
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
    if type(thought) is int and (known := seen.thought.believed(thought)) != thought:
        usage["completion_tokens_details"] = {**details, "reasoning_tokens": known}
        changed = True
    return changed
