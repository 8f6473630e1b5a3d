"""`POST /v1/messages/count_tokens`: the number of tokens of a prompt, by the backend's tokenizer if it has a route.

The prompt is the one that a request would send: with the family's effort fields, and with the reasoning of earlier
turns as the family needs it. Nothing is generated or recorded.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import partial
from typing import Any

import orjson

from gateway.api import asgi
from gateway.api.dialect import ParsedRequest
from gateway.api.messages import errors
from gateway.api.messages.request import read_request
from gateway.api.off_loop import OffLoop
from gateway.api.reading import read_body, read_call
from gateway.auth.authenticator import Authenticator
from gateway.auth.principal import ANONYMOUS, Principal
from gateway.auth.seal import Seal
from gateway.backends.transport import Transport, root
from gateway.config.server import ServerSettings
from gateway.core import large_json
from gateway.core.aliases import Headers
from gateway.core.backend_errors import SIGN_IN, BackendFailed, BackendRefused, error_fields
from gateway.core.call import BYTES_PER_TOKEN, Call
from gateway.core.errors import GatewayError, InternalError
from gateway.core.plan import Plan
from gateway.core.unit import among_keys
from gateway.execution.ids import Ids
from gateway.families.compiler import Enforce, compile_plan
from gateway.routing.catalogue import Catalogue
from gateway.routing.experiments.running import Experiments

log = logging.getLogger("thinkgate")

# The estimate for an image, in tokens: about that of one megapixel.
IMAGE_TOKENS = 1500
TIMEOUT_S = 10.0
HOW = "x-thinkgate-count"
EXACT, ESTIMATE = "exact", "estimate"
# Statuses of servers without this route.
_NO_ROUTE = frozenset({404, 405, 501})
_KWARGS = "chat_template_kwargs"


class CountTokens:
    """An ASGI endpoint."""

    def __init__(
        self,
        catalogue: Catalogue,
        experiments: Experiments,
        seal: Seal,
        authenticator: Authenticator,
        transport: Transport,
        enforce: Enforce,
        limits: ServerSettings,
        ids: Ids,
        off_loop: OffLoop,
    ) -> None:
        self._catalogue = catalogue
        self._experiments = experiments
        self._seal = seal
        self._authenticator = authenticator
        self._transport = transport
        self._enforce = enforce
        self._limits = limits
        self._ids = ids
        self._off_loop = off_loop

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        headers = asgi.read_headers(scope)
        id = asgi.client_request_id(headers) or self._ids.for_client()
        reply_headers: dict[str, str] = {"x-request-id": id}
        principal: Principal = ANONYMOUS
        try:
            principal = self._authenticator.authenticate(headers)
            principal.admit(asgi.announced_size(headers))
            count, how = await self._count(scope, receive, headers, id, principal)
            reply_headers |= principal.headers()
        except asgi.HungUp:
            return
        except Exception as error:
            reply_headers |= principal.headers()
            shown = error if isinstance(error, GatewayError) else InternalError()
            if shown is not error:
                log.error("request %s failed inside the gateway", id, exc_info=error)
            body = errors.body(shown, id)
            await asgi.send_json(send, shown.status, body, errors.headers({**reply_headers, **shown.headers}))
            return
        finally:
            principal.leave()
        body = orjson.dumps({"input_tokens": count})
        await asgi.send_json(send, 200, body, errors.headers({**reply_headers, HOW: how}))

    async def _count(
        self, scope: asgi.Scope, receive: asgi.Receive, headers: Headers, id: str, principal: Principal
    ) -> tuple[int, str]:
        raw = await asgi.read_body(scope, receive, self._limits.max_body_bytes, principal.arrived)
        body, size = await read_body(raw, self._limits, self._off_loop)
        parsed = ParsedRequest(body, size, headers, id, principal, self._off_loop)
        call = await read_call(parsed, self._read, self._catalogue, self._limits)
        del raw, parsed, body  # the call has everything; free the memory
        plan = self._plan(call, principal.key)
        exact = await self._exact(plan)
        if exact is not None:
            return exact, EXACT
        return await self._off_loop.run(size, partial(_estimate, plan.body)), ESTIMATE

    async def _read(self, parsed: ParsedRequest) -> Call:
        read = partial(read_request, parsed, self._catalogue, self._limits.max_messages, self._seal, counting=True)
        return await self._off_loop.run(parsed.size, read)

    def _plan(self, call: Call, key: str | None) -> Plan:
        """What would be sent without a router. Its effort may differ, by the few tokens of a switch in the template."""
        found = self._catalogue.find(call.model)
        model, arm, _ = self._experiments.assign(found, among_keys(call.unit, key))
        decision = model.policy.decide(call, None)
        return compile_plan(call, decision.effort, arm, model.terms, None, self._enforce)

    async def _exact(self, plan: Plan) -> int | None:
        """The number of tokens; None: the backend cannot count. BackendRefused: it rejects this prompt."""
        if not plan.deployment.family.host.counts_prompts:
            return None
        question = _question(plan)
        for url in plan.deployment.urls:
            try:
                status, raw = await self._transport.ask(plan.deployment, f"{root(url)}/tokenize", question, TIMEOUT_S)
            except BackendFailed:
                continue
            if status == 200:
                return _count_in(raw)
            if status in SIGN_IN:
                self._transport.sign_in.refused(plan.deployment.name, url)
            elif 400 <= status < 500 and status not in _NO_ROUTE:
                fields = error_fields(raw)
                if fields is not None:
                    raise BackendRefused(status, {}, fields)
        return None


def _question(plan: Plan) -> dict[str, Any]:
    """The body for `/tokenize`: with the effort, or with what the engine derives from it for the template."""
    body = plan.body
    question = {name: body[name] for name in ("model", "messages", "tools", _KWARGS) if name in body}
    effort = body.get("reasoning_effort")
    if isinstance(effort, str):
        if plan.deployment.family.host.counts_with_effort:
            question["reasoning_effort"] = effort
        else:
            derived = {"reasoning_effort": effort, "enable_thinking": effort != "none"}
            question[_KWARGS] = {**derived, **question.get(_KWARGS, {})}
    return question


def _count_in(raw: bytes) -> int | None:
    try:
        answer = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    count = answer.get("count") if isinstance(answer, dict) else None
    return count if type(count) is int and count >= 0 else None


def _estimate(body: dict[str, Any]) -> int:
    """An estimate from the size in bytes, as elsewhere in the gateway, plus a typical number per image."""
    size = images = 0
    for part in _parts(body["messages"]):
        if part.get("type") == "image_url":
            images += 1
        else:
            size += large_json.size(part)
    size += large_json.size(body["tools"]) if "tools" in body else 0
    return max(size // BYTES_PER_TOKEN, 1) + images * IMAGE_TOKENS


def _parts(messages: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for message in messages:
        content = message.get("content")
        if isinstance(content, list):
            yield from content
            yield {name: value for name, value in message.items() if name != "content"}
        else:
            yield message
