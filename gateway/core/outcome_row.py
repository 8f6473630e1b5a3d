"""What became of an answer: a score from somebody who can tell."""

from __future__ import annotations

from typing import NamedTuple


class OutcomeRow(NamedTuple):
    """One score of one request. Field names are the columns of the table `outcomes`.

    `id` is the gateway's own id of the request. `score` is in [0, 1]. `source` says who scored (`person`,
    `verifier:<name>`, `shadow`, `implicit:<name>`), and `weight` how much that counts, in [0, 1]. `time` is when the
    score arrived, in seconds since 1970. `key`, `user` and `unit` are those of the request: with them an erasure finds
    the outcomes of its subject. There is one outcome for each (id, metric, source): the first one stands.
    """

    id: str
    metric: str
    source: str
    score: float
    time: float
    key: str | None = None
    user: str | None = None
    unit: str | None = None
    label: str | None = None
    comment: str | None = None
    weight: float = 1.0
