"""Chooses the prompts of a collection that routers are not trained on, so that they can be judged on them.

The choice is a hash of the prompt's group, so collections of overlapping tasks agree, and a smaller share is part of a
larger one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from router_model.data.outcomes import stem_of
from router_model.tasks import Prompt

# With fewer phrasings than this, holding some out would hold out nothing, or most prompts; questions are held out then.
LEAST_PHRASINGS = 10


def ids(prompts: Sequence[Prompt], share: float) -> set[str]:
    """The ids of the held-out prompts: those of whole phrasings, or of whole questions where phrasings are few."""
    phrasings = {prompt.phrasing for prompt in prompts if prompt.phrasing}
    by_phrasing = len(phrasings) >= LEAST_PHRASINGS
    return {p.id for p in prompts if is_held_out((by_phrasing and p.phrasing) or stem_of(p.messages), share)}


def mark(rows: Sequence[dict[str, Any]], prompts: Sequence[Prompt], share: float) -> str:
    """Set `router_split` of the rows of a table, and return a line that says how many prompts are held out."""
    held_out = ids(prompts, share)
    for row in rows:
        row["router_split"] = "test" if row["prompt_id"] in held_out else "train"
    return f"{len(held_out)} of {len(prompts)} prompts are held out to judge routers on, never to train them"


def is_held_out(group: str, share: float) -> bool:
    """Whether a group is among the share of all groups that is held out."""
    digest = hashlib.blake2b(group.encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest, "big") < share * 2.0**64
