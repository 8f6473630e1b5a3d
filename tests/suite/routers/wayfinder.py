"""wayfinder-router with its defaults: its score, and local or cloud at .5. Run in its environment; see `rivals.py`."""

import json
import sys

from wayfinder_router import score_complexity
from wayfinder_router.gateway import extract_prompt


def main() -> None:
    for line in sys.stdin:
        found = score_complexity(extract_prompt(json.loads(line)["messages"]))
        print(json.dumps({"tier": int(found.recommendation == "cloud"), "scores": [found.score]}))


if __name__ == "__main__":
    main()
