"""The settings of `thinkgate serve` without a configuration: the embedded models, merged and split, with a dial."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gateway.config.settings import Settings, parse

# The embedded reasoner uses tens of thinking tokens where large models use thousands.
LEVELS = {"minimal": 16, "low": 32, "medium": 64, "high": 128, "xhigh": 256, "max": "unlimited"}
BUDGETS = [8, 16, 32, 64, 128, 256]
ROUTER = "tiny"
# The engine generates 32 answers at once per model; as many again may queue there, the rest queues here.
PLACES = {"max_in_flight": 64, "max_queue": 1024, "max_wait_s": 60}


def embedded_settings(engine_url: str, records: Path, **server: Any) -> Settings:
    """Settings for an engine at this URL; `server` overrides single fields of the server table."""

    def deployment(family: str) -> dict[str, Any]:
        return {"url": engine_url, "family": family, "max_context": 2048, "ttft_s": 0.02, "tpot_s": 0.002, **PLACES}

    policy = {"kind": "dial", "dial": 0.65, "default_effort": "medium", "budgets": BUDGETS}
    model = {"policy": policy, "router": ROUTER, "levels": LEVELS, "answer_allowance": 64}
    return parse(
        {
            "server": server,
            "records": {"path": records},
            "deployments": {
                "tiny": deployment("qwen3"),
                "tiny-instruct": deployment("qwen3-2507"),
                "tiny-thinking": deployment("qwen3-2507"),
            },
            "models": {
                "tiny": {"deployment": "tiny", **model},
                "tiny-split": {"none": "tiny-instruct", "think": "tiny-thinking", **model},
            },
        }
    )
