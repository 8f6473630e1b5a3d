"""How many tokens recent answers took, by deployment and budget: what one more of them is expected to take."""

from __future__ import annotations

import logging
import math
from bisect import bisect_left, insort
from collections import OrderedDict, deque
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import orjson

from gateway.core import private_file
from gateway.core.efforts import Effort

log = logging.getLogger("thinkgate")
# Answers that are remembered of each kind, and from how many on they say anything.
REMEMBERED, FEWEST = 128, 10
# Kinds that are remembered: operators have few deployments, clients may name any budget.
MOST_KINDS = 1024
# Far more than any recent answer took: in multiples of the largest.
AMPLE = 2
P90 = 0.9
# Answers after which they are written down again, or as many as there are kinds.
EVERY = 16


class Kind(NamedTuple):
    """Answers of one deployment with about the same budget: `size` is its number of bits, or -1 if it is unlimited."""

    deployment: str
    size: int

    @classmethod
    def of(cls, deployment: str, effort: Effort | None) -> Kind:
        budget = None if effort is None else effort.budget
        return cls(deployment, -1 if budget is None else budget.bit_length())


class RecentTokens:
    """The thinking and completion tokens of each choice of recent, complete answers, in this process.

    With a `path` they are written down every now and then, and read by the next process that starts.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._kinds: OrderedDict[Kind, tuple[_Sample, _Sample]] = OrderedDict()
        self._path: Path | None = None
        self._unsaved = 0
        if path is not None and path.exists():
            self._read(path)
        self._path, self._unsaved = path, 0

    def add(self, kind: Kind, thinking: int, completion: int) -> None:
        samples = self._kinds.get(kind)
        if samples is None:
            samples = self._kinds[kind] = (_Sample(), _Sample())
            if len(self._kinds) > MOST_KINDS:
                self._kinds.popitem(last=False)
        self._kinds.move_to_end(kind)
        samples[0].add(thinking)
        samples[1].add(completion)
        self._unsaved += 1
        if self._path is not None and self._unsaved >= max(EVERY, len(self._kinds)):
            self._save(self._path)

    def thinking(self, kind: Kind) -> int | None:
        """The P90 of thinking tokens; None: too few are known."""
        return self._kinds[kind][0].p90 if kind in self._kinds else None

    def completion(self, kind: Kind) -> int | None:
        """The P90 of completion tokens; None: too few are known."""
        return self._kinds[kind][1].p90 if kind in self._kinds else None

    def ample(self, kind: Kind) -> int | None:
        """A thinking budget that cuts hardly any of these answers; None: too few are known."""
        return self._kinds[kind][0].ample if kind in self._kinds else None

    def _read(self, path: Path) -> None:
        """A file that cannot be read says nothing: what it holds are estimates."""
        try:
            for deployment, size, *samples in orjson.loads(path.read_bytes()):
                for thinking, completion in zip(*samples, strict=True):
                    self.add(Kind(str(deployment), int(size)), int(thinking), int(completion))
        except (OSError, ValueError, TypeError) as error:
            log.warning("%s: what recent answers took is not known: %s", path, error)

    def _save(self, path: Path) -> None:
        self._unsaved = 0
        rows = [[*kind, list(one.values), list(other.values)] for kind, (one, other) in self._kinds.items()]
        try:
            private_file.replace(path, orjson.dumps(rows))
        except OSError as error:
            log.warning("%s cannot be written: a restart will not know what recent answers took: %s", path, error)


class _Sample:
    """The latest values, by age and in order."""

    __slots__ = ("_by_age", "_rising")

    def __init__(self) -> None:
        self._by_age: deque[int] = deque()
        self._rising: list[int] = []

    def add(self, value: int) -> None:
        if len(self._by_age) == REMEMBERED:
            del self._rising[bisect_left(self._rising, self._by_age.popleft())]
        self._by_age.append(value)
        insort(self._rising, value)

    @property
    def values(self) -> Iterable[int]:
        """Oldest first."""
        return self._by_age

    @property
    def p90(self) -> int | None:
        """The value that the next one does not exceed with a probability of 9 in 10, if all are alike: of n values the
        ceil(0.9 (n + 1))th (Vovk, Gammerman, Shafer: Algorithmic Learning in a Random World, 2005).
        """
        count = len(self._rising)
        return self._rising[min(math.ceil(P90 * (count + 1)), count) - 1] if count >= FEWEST else None

    @property
    def ample(self) -> int | None:
        return AMPLE * max(self._rising[-1], 1) if len(self._rising) >= FEWEST else None
