"""Encodes a chat completion as a response, whole or as events. It is stored before the client gets the end."""

from __future__ import annotations

from typing import Any

from gateway.api.responses import response
from gateway.api.responses.call import ResponsesCall
from gateway.api.responses.errors import fields
from gateway.api.responses.events import ResponseEvents
from gateway.api.responses.output import OutputItems
from gateway.api.responses.store import ResponseStore
from gateway.api.responses.turn import Item, Turn
from gateway.auth.seal import BoundSeal
from gateway.backends.chat_answer import dumped
from gateway.core.backend_errors import BackendFailed
from gateway.core.errors import GatewayError
from gateway.execution.report import AnswerView


class ResponsesEncoder:
    def __init__(self, view: AnswerView, call: ResponsesCall, seal: BoundSeal, store: ResponseStore) -> None:
        self._view = view
        self._call = call
        self._spec = call.spec
        self._store = store
        self._events = ResponseEvents(silent=not call.stream)
        self._output = OutputItems(call.spec, seal, self._events)
        self._begun = False
        self._usage: Any = None
        self._tier: Any = None

    async def whole(self, body: dict[str, Any], raw: bytes) -> bytes:
        choice = body["choices"][0] if body["choices"] else None
        if not isinstance(choice, dict):
            raise BackendFailed("The backend's answer has no choice.")
        self._note_usage(body)
        self._output.add(choice.get("message"), choice.get("logprobs"))
        items, _ = self._output.finish(self._complete)
        return dumped(await self._finished(items))

    def event(self, chunk: dict[str, Any], event: bytes) -> bytes:
        data = b"" if self._begun else self._begin()
        self._note_usage(chunk)
        choices = chunk.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if isinstance(choice, dict) and choice.get("delta") is not None:
            data += self._output.add(choice["delta"], choice.get("logprobs"))
        return data

    async def end(self) -> bytes:
        data = b"" if self._begun else self._begin()
        items, closed = self._output.finish(self._complete)
        body = await self._finished(items)
        return data + closed + self._events(f"response.{body['status']}", response=body)

    def broken(self, error: GatewayError) -> bytes:
        # Truncated items are not reported as done: a client might execute half a call.
        self._events.silent = True
        items, _ = self._output.finish(False)
        self._events.silent = False
        shown = fields(error)
        data = self._events("error", code=shown["code"], message=shown["message"], param=shown["param"])
        failed = response.failed(self._call, self._view.facts(), items, error)
        return data + self._events("response.failed", response=failed)

    @property
    def _complete(self) -> bool:
        return response.status_of(self._view.facts().finish_reason) == "completed"

    def _begin(self) -> bytes:
        self._begun = True
        body = response.begun(self._call, self._view.facts())
        return self._events("response.created", response=body) + self._events("response.in_progress", response=body)

    def _note_usage(self, chunk: dict[str, Any]) -> None:
        self._usage = chunk.get("usage") or self._usage
        self._tier = chunk.get("service_tier") or self._tier

    async def _finished(self, items: list[Item]) -> dict[str, Any]:
        """The response, stored if requested; its field `store` says whether it was."""
        spec = self._spec
        facts = self._view.facts()
        body = response.finished(self._call, facts, items, self._usage, self._tier)
        if self._call.wants_effort_report:
            body["thinkgate"] = self._view.effort_report()
        if spec.store:
            turn = Turn(spec.id, spec.root, spec.previous, spec.items, body, spec.unit)
            body["store"] = await self._store.put(turn, self._call.key, facts.user)
        return body
