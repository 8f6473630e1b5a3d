"""What a planned request needs of its limits: at worst, and as far as can be expected."""

from __future__ import annotations

from typing import NamedTuple

from gateway.auth.lane import Holding


class Need(NamedTuple):
    """Tokens and dollars. `thinking` and `dollars` are the worst case, the `expected` ones are exceeded by one request
    in ten; `prompt` and `completion` are what is charged where nobody knows what was used.

    `flexible`: nothing enforces a budget, so any smaller amount of thinking may be reserved.
    """

    prompt: int = 0
    completion: int = 0
    expected_completion: int = 0
    thinking: int = 0
    expected_thinking: int = 0
    dollars: float = 0.0
    expected_dollars: float = 0.0
    flexible: bool = False

    def at_most(self, thinking: int) -> Need:
        """The same with a worst case of this much thinking."""
        return self._replace(thinking=thinking, expected_thinking=min(self.expected_thinking, thinking))

    def holding(self, running: int, bytes: int) -> Holding:
        """Its reservation, together with the request's place and body."""
        return Holding(
            running,
            bytes,
            self.prompt + self.expected_completion,
            self.thinking,
            self.dollars,
            self.thinking - self.expected_thinking,
            self.dollars - self.expected_dollars,
        )


NOTHING = Need()
