"""Statistics of an answer's output: its size, the share of reasoning, and misplaced end-of-reasoning tags."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from gateway.core.reasoning import REASONING, REASONING_CONTENT
from gateway.execution.streaming.tally import LONGEST_TOKEN, Tally

_OUTSIDE = False, ""


class OutputStats:
    """Counts every delta of a stream, the messages of a whole answer, or the `text` of raw completions. `mark` is the
    end-of-reasoning tag: some engines that enforce a budget write it into the arguments of a tool call (`marked`).
    """

    __slots__ = ("_places", "_tags", "_token_count", "answer", "mark", "marked", "mended", "tagged", "thought")

    def __init__(self, mark: str = "") -> None:
        self.mark = mark
        self.thought, self.answer = Tally(), Tally()
        # The part of the answer between reasoning tags, which the backend has not separated.
        self.tagged = Tally()
        self._tags: tuple[str, str] | None = None
        # For each choice: whether it is between the tags now, and an end of its text that may begin a tag.
        self._places: dict[int, tuple[bool, str]] = {}
        self.marked = self.mended = False
        self._token_count = 0

    @property
    def any(self) -> bool:
        return bool(self.thought.pieces or self.answer.pieces)

    @property
    def thought_size(self) -> int:
        """The size of all reasoning in bytes, separated from the answer or not."""
        return self.thought.size + self.tagged.size

    @property
    def all(self) -> Tally:
        return self.thought.plus(self.answer)

    def completion(self, reported: int | None) -> int:
        """Tokens of reasoning and answer: the reported number, unless more were observed."""
        thought, answer = self.thought, self.answer
        least = max(thought.pieces + answer.pieces, (thought.size + answer.size) // LONGEST_TOKEN)
        if reported is not None and reported >= least:
            return reported
        known = self.all
        if reported is None and self._token_count >= known.pieces:
            return self._token_count
        return max(known.reconciled(reported), least)

    def look_for(self, start: str, end: str) -> None:
        """Count text between these reasoning tags in the answer."""
        self._tags = start, end

    def _look(self, text: str, tags: tuple[str, str], index: int) -> None:
        """Count the text between the tags, which may be split over chunks; chunks of several choices alternate."""
        inside, tail = self._places.get(index, _OUTSIDE)
        rest = tail + text
        known = len(tail)
        while True:
            mark = tags[inside]
            at = rest.find(mark)
            inner = rest[known:] if at < 0 else rest[known : max(at, known)]
            if inside and inner:
                self.tagged.add(inner)
            if at < 0:
                tail = rest[max(len(rest) - len(mark) + 1, 0) :] if mark[0] in rest[1 - len(mark) :] else ""
                self._places[index] = inside, tail
                if not inside and not tail:
                    del self._places[index]
                return
            rest, known = rest[at + len(mark) :], max(known - at - len(mark), 0)
            inside = not inside

    def tokens(self, choice: dict[str, Any]) -> None:
        """Count the tokens of a chunk that has their ids or log-probabilities."""
        ids = choice.get("token_ids")
        if type(ids) is not list:
            logprobs = choice.get("logprobs")
            ids = logprobs.get("content") if type(logprobs) is dict else None
        if type(ids) is list:
            self._token_count += len(ids)

    def text(self, text: Any) -> None:
        if type(text) is str:
            self.answer.add(text)

    def delta(self, delta: dict[str, Any], index: Any = 0) -> None:
        """Count a delta, or a message, of the choice with this index."""
        thought = delta.get(REASONING) or delta.get(REASONING_CONTENT)
        if type(thought) is str:
            self.thought.add(thought)
            if len(delta) == 1:
                return
        content = delta.get("content") or delta.get("refusal")
        if type(content) is str:
            self.answer.add(content)
            tags = self._tags
            if tags is not None:
                choice = index if type(index) is int else 0
                if choice in self._places or tags[0][0] in content:
                    self._look(content, tags, choice)
        elif type(content) is list:
            self._parts(content)
        if delta.get("tool_calls") or delta.get("function_call"):
            for function in _functions(delta):
                self._call(function)

    def _parts(self, parts: list[Any]) -> None:
        """Count a content given as parts, including reasoning parts, which some hosted APIs send."""
        for part in parts:
            fields = part if type(part) is dict else {}
            self.text(fields.get("text"))
            thought = fields.get("thinking")
            for one in thought if type(thought) is list else (fields,):
                text = one.get("text" if one is not fields else "thinking") if type(one) is dict else None
                if type(text) is str:
                    self.thought.add(text)

    def whole(self, body: dict[str, Any]) -> bool:
        """Count a whole answer, and remove misplaced tags from it; returns whether it was changed."""
        for choice in body["choices"]:
            if not isinstance(choice, dict):
                continue
            self.tokens(choice)
            self.text(choice.get("text"))
            message = choice.get("message")
            if isinstance(message, dict):
                self.delta(message, choice.get("index", 0))
                for function in _functions(message) if self.marked else ():
                    if isinstance(function.get("arguments"), str):
                        self._mend(function)
        return self.mended

    def _call(self, function: dict[str, Any]) -> None:
        self.text(function.get("name"))
        arguments = function.get("arguments")
        self.text(arguments)
        self.text(function.get("input"))  # of a custom tool
        if self.mark and type(arguments) is str and self.mark in arguments:
            self.marked = True

    def _mend(self, function: dict[str, Any]) -> None:
        """Remove the tag from arguments that are valid JSON only without it; inside a string it may be intended."""
        arguments = function["arguments"]
        mended = arguments.replace(self.mark, "")
        if mended != arguments and not _is_json(arguments) and _is_json(mended):
            function["arguments"] = mended
            self.mended = True


def _functions(message: dict[str, Any]) -> Iterable[dict[str, Any]]:
    """The calls of functions and custom tools, or their deltas; `function_call` is the older form."""
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        function = (call.get("function") or call.get("custom")) if isinstance(call, dict) else None
        if isinstance(function, dict):
            yield function
    once = message.get("function_call")
    if isinstance(once, dict):
        yield once


def _is_json(text: str) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True
