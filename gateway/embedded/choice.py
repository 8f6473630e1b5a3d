"""One choice of a chat completion: separates its text into reasoning, answer and tool calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.embedded.answer import EngineOutput
from gateway.embedded.output_format import forces_call
from gateway.embedded.prompts import thinking_enabled
from gateway.embedded.protocol import ChatRequest
from gateway.embedded.reasoning_parser import ReasoningCounter, ReasoningParser, is_thinking
from gateway.embedded.served import Served
from gateway.embedded.tool_parser import CallStream, parse_calls

Json = dict[str, Any]


class Choice:
    """Parses one answer. As in vLLM, the prompt of a stream decides whether its answer begins with reasoning, while the
    prompt of a plain answer is not considered.
    """

    def __init__(self, request: ChatRequest, served: Served, prompt: Sequence[int] | None) -> None:
        """`prompt` None: a plain answer."""
        self._request = request
        enabled = served.reasons and thinking_enabled(request)
        thinking = enabled if prompt is None else is_thinking(prompt, served.tokenizer, enabled)
        self._parser = ReasoningParser(thinking)
        self._counter = ReasoningCounter(served.tokenizer, enabled)
        self._calls = CallStream() if _wants_calls(request) else None
        self.called = False

    @property
    def reasoning_tokens(self) -> int:
        return self._counter.count

    def message(self, output: EngineOutput) -> tuple[Json, bool]:
        """The message of a whole answer without its role, and whether it calls tools."""
        self._counter.push(output.ids)
        first, rest = self._parser.push(output.text), self._parser.finish()
        reasoning, text = first.reasoning + rest.reasoning, first.content + rest.content
        content, calls = parse_calls(text) if self._calls else (text, [])
        forced = forces_call(self._request)
        message: Json = {"content": (content if calls else None) or "" if forced else content or None}
        message |= {"refusal": None, "annotations": None, "audio": None, "function_call": None}
        if calls:
            message["tool_calls"] = [call.shown() for call in calls[: self._most_calls()]]
        message["reasoning"] = reasoning or None if self._request.include_reasoning else None
        return message, bool(calls)

    def delta(self, output: EngineOutput) -> Json:
        """The delta for one output of a stream; empty if it adds nothing."""
        self._counter.push(output.ids)
        parts = self._parser.push(output.text)
        reasoning, content = parts.reasoning, parts.content
        if output.finish:
            rest = self._parser.finish()
            reasoning, content = reasoning + rest.reasoning, content + rest.content
        calls: list[Json] = []
        if self._calls:
            content, calls = self._calls.push(content)
            content += self._calls.finish() if output.finish else ""
            calls = [call for call in calls if (most := self._most_calls()) is None or call["index"] < most]
        delta: Json = {"reasoning": reasoning} if reasoning and self._request.include_reasoning else {}
        content = "" if forces_call(self._request) else content
        if content or calls:
            delta["content"] = content or None
        if calls:
            self.called = True
            delta["tool_calls"] = calls
        return delta

    def _most_calls(self) -> int | None:
        return 1 if self._request.parallel_tool_calls is False else None


def _wants_calls(request: ChatRequest) -> bool:
    return bool(request.tools) and request.tool_choice != "none"
