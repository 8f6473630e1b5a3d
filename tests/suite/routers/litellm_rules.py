"""LiteLLM's complexity router with its defaults: keyword rules. Run in LiteLLM's environment; see `rivals.py`."""

import json
import sys
from types import SimpleNamespace

from litellm.router_strategy.complexity_router.complexity_router import ComplexityRouter

TIERS = ("SIMPLE", "MEDIUM", "COMPLEX", "REASONING")


def main(settings: dict[str, str] | None = None) -> None:
    router = ComplexityRouter(model_name="m", ctx=SimpleNamespace(), complexity_router_config=settings)
    for line in sys.stdin:
        # What its gateway judges: the last ask of a person, and the last system prompt.
        ask, system = router._extract_user_message_and_system_prompt(json.loads(line)["messages"])
        found = router._classify_locally(ask or "", system)
        print(
            json.dumps(
                {"tier": TIERS.index(found.tier.value), "scores": [found.score] if found.score is not None else []}
            )
        )


if __name__ == "__main__":
    main()
