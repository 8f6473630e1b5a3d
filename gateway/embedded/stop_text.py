"""The text of an answer that can be sent: up to the first stop string, without an end that may begin one."""

from __future__ import annotations

from gateway.embedded.sampling import SamplingParams
from gateway.embedded.tokenizer import Detokenizer, Tokenizer


class EngineStopText:
    def __init__(self, tokenizer: Tokenizer, params: SamplingParams) -> None:
        skipped = tokenizer.special_ids if params.skip_special_tokens else frozenset()
        self._detokenizer = Detokenizer(tokenizer, skipped)
        self._stops, self._inclusive = params.stop, params.include_stop_str_in_output
        self._held = 0 if self._inclusive else max((len(stop) - 1 for stop in params.stop), default=0)
        self._pending = ""
        self._behind = ""  # the end of the text already taken, in which a stop string may begin
        self.found: str | None = None

    def push(self, token: int) -> None:
        new = self._detokenizer.push(token)
        self._pending += new
        if self._stops and new:
            self._search(len(new))

    def take(self, final: bool) -> str:
        """The text that can be sent now; all of it if `final`."""
        end = len(self._pending) if final else max(0, len(self._pending) - self._held)
        taken, self._pending = self._pending[:end], self._pending[end:]
        longest = max((len(stop) for stop in self._stops), default=0)
        self._behind = (self._behind + taken)[-longest:] if longest else ""
        return taken

    def _search(self, new: int) -> None:
        """Cut the text at the first stop string that the last `new` characters complete."""
        text, offset = self._behind + self._pending, len(self._behind)
        found = [
            (place, stop)
            for stop in self._stops
            if (place := text.find(stop, max(0, len(text) - new - len(stop) + 1))) >= 0
        ]
        if found:
            place, self.found = min(found, key=lambda pair: pair[0] + len(pair[1]))
            end = place + (len(self.found) if self._inclusive else 0)
            self._pending = self._pending[: max(0, end - offset)]
