"""Chooses the prompts of a collection that routers are not trained on, so that they can be judged on them.

The choice is a hash of the prompt's group, so collections of overlapping tasks agree, and a smaller share is part of a
larger one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from router_model.data.outcomes import stem_of
from router_model.tasks import Prompt

# With fewer phrasings than this, holding some out would hold out nothing, or most prompts; questions are held out then.
LEAST_PHRASINGS = 10


def ids(prompts: Sequence[Prompt], share: float) -> set[str]:
    """The ids of the held-out prompts: those of whole phrasings, or of whole questions where phrasings are few."""
    phrasings = {prompt.phrasing for prompt in prompts if prompt.phrasing}
    by_phrasing = len(phrasings) >= LEAST_PHRASINGS
    return {p.id for p in prompts if is_held_out((by_phrasing and p.phrasing) or stem_of(p.messages), share)}


def is_held_out(group: str, share: float) -> bool:
    """Whether a group is among the share of all groups that is held out."""
    digest = hashlib.blake2b(group.encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest, "big") < share * 2.0**64
