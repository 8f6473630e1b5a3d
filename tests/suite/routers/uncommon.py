"""uncommon-route: the tier and the complexity of its ensemble, and the complexity that its classifier gives."""

import json
import sys

from uncommon_route import classify, route

TIERS = ("SIMPLE", "MEDIUM", "COMPLEX")


def main() -> None:
    for line in sys.stdin:
        messages = json.loads(line)["messages"]
        prompt = next(m["content"] for m in reversed(messages) if m["role"] == "user")
        system = "\n".join(m["content"] for m in messages if m["role"] == "system") or None
        found = route(prompt, system, messages=messages, record_lifecycle=False)
        print(
            json.dumps(
                {
                    "tier": TIERS.index(found.tier.value),
                    "scores": [found.complexity, classify(prompt, system).complexity],
                }
            )
        )


if __name__ == "__main__":
    main()
