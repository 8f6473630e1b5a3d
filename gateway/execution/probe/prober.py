"""Asks for a probe: the client's own request without thinking, and how sure the model is of each token of its answer.

A probe that fails or is late is no error: the request goes on without it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from gateway.backends.capabilities import Capabilities
from gateway.backends.reply import Reply
from gateway.core.aliases import JsonObject
from gateway.core.arm import Arm
from gateway.core.call import Call
from gateway.core.decision import Decision
from gateway.core.efforts import NO_THINKING
from gateway.core.errors import BackendFailed, BackendRefused, BackendTimeout, GatewayError
from gateway.core.plan import Plan
from gateway.core.probe import Probe
from gateway.execution.context import RequestContext
from gateway.execution.dispatch import Dispatch
from gateway.execution.probe.buffered import BufferedAnswer, BufferedReply, BufferedStream
from gateway.execution.probe.result import ProbeResult
from gateway.families import body as fields
from gateway.families.fields import HIDE_FIELD
from gateway.families.model_limits import ModelLimits

log = logging.getLogger("thinkgate")

REQUEST_ID = "x-request-id"
# The second candidate tells how far the first token was ahead.
CANDIDATES = 2
_LOGPROBS = {"logprobs": True, "top_logprobs": CANDIDATES}


class Prober:
    def __init__(self, dispatch: Dispatch, capabilities: Capabilities) -> None:
        self._dispatch = dispatch
        self._capabilities = capabilities

    def possible(self, call: Call, arm: Arm, terms: ModelLimits) -> bool:
        """Whether a probe can be told anything by: one answer, whose tokens may be seen, and room for a thought else.

        A client that asks for log-probabilities itself gets what it asked for; with fewer candidates than a probe needs
        there is none.
        """
        none, limit = arm.find(NO_THINKING), call.limit
        return (
            none is not None
            and call.choices == 1
            and (limit is None or limit > terms.answer.allowance)
            and _may_ask(call.body)
            and self._capabilities.tells_logprobs(none, call)
            and self._dispatch.is_open(none)
        )

    async def ask(self, context: RequestContext, call: Call, decide: Callable[[Probe | None], Plan]) -> Reply | None:
        """The reply to a probe that is the answer; None: what was decided on after it is to be sent.

        `decide` is told of the probe, or of none where it failed, and what it decides on is the exchange's plan. It may
        raise.
        """
        held = await self._listen(context, call)
        probe_result = context.probe_result
        assert probe_result is not None, "it was asked for"
        try:
            plan = decide(probe_result.probe)
        except BaseException:
            if held is not None:
                held.close()
            raise
        if held is None:
            return None
        probe_result.outcome = "thrown_away" if plan.effort.think else "kept"
        if probe_result.outcome == "kept":
            return held
        await held.drop()
        return None

    async def _listen(self, context: RequestContext, call: Call) -> BufferedReply | None:
        """A probe, as far as it takes to decide by it; None if it failed."""
        decision, plan = context.decision, context.plan
        assert decision is not None and decision.probe_options is not None and plan is not None, (
            "a probe was decided on"
        )
        asking = decision.probe_options
        plan = replace(plan, body=_body(plan, call, decision))
        context.probe_result = probe_result = ProbeResult(plan, decision.forecast)
        held: BufferedReply | None = None
        begun = time.perf_counter()
        try:
            await self._dispatch.enter(context, call, plan.deployment, asking.wait_s)
            begun = time.perf_counter()
            async with asyncio.timeout(asking.wait_s):
                held = _held(await self._dispatch.post(context, call, plan), call, plan)
                await held.listen(lambda heard: max(len(heard.values), heard.pieces - 1) >= asking.tokens)
            probe_result.probe = held.logprobs.probe(held.finish_reason, asking.tokens)
            self._capabilities.told_logprobs(plan.deployment, call, probe_result.probe is not None)
            if probe_result.probe is None:
                raise BackendFailed("It came without log-probabilities.", code="no_logprobs")
            return held
        except (GatewayError, TimeoutError) as error:
            self._failed(context, call, probe_result, error)
            if held is not None:
                held.close()
            return None
        except BaseException:
            if held is not None:
                held.close()
            raise
        finally:
            now = time.perf_counter()
            probe_result.seconds = now - begun
            if held is not None:
                probe_result.tokens = held.usage.completion_tokens or len(held.logprobs.values)
                probe_result.prompt_tokens = held.usage.prompt_tokens
                probe_result.held_s = 0.0 if held.first_token is None else now - held.first_token

    def _failed(
        self, context: RequestContext, call: Call, probe_result: ProbeResult, error: GatewayError | TimeoutError
    ) -> None:
        name = probe_result.plan.deployment.name
        known = error if isinstance(error, GatewayError) else BackendTimeout(f"The backend {name} was late.")
        if isinstance(known, BackendRefused) and known.status < 500 and _is_of_logprobs(known):
            self._capabilities.refuses_logprobs(probe_result.plan.deployment, call)
        probe_result.outcome, probe_result.why = "failed", known.code or known.type
        log.warning("request %s goes on without its probe: %s", context.request_id, known.for_log())


def second(call: Call) -> Call:
    """The call as it follows a probe: under an id of its own, as engines may refuse one that they still know."""
    id = call.forwarded.get(REQUEST_ID)
    return call if id is None else replace(call, forwarded={**call.forwarded, REQUEST_ID: f"{id}-2"})


def _held(reply: Reply, call: Call, plan: Plan) -> BufferedReply:
    shows = bool(call.body.get("logprobs"))
    return BufferedStream(reply, shows, plan) if plan.body.get("stream") else BufferedAnswer(reply, shows)


def _body(plan: Plan, call: Call, decision: Decision) -> dict[str, Any]:
    """What is sent. A long answer is streamed, whatever the client asked for: it can be hung up on."""
    assert decision.probe_options is not None and decision.forecast is not None
    body = {**plan.body, **({} if call.body.get("logprobs") else _LOGPROBS)}
    if not call.stream and decision.forecast.efforts[0].answer_tokens > decision.probe_options.tokens:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return body


def _may_ask(body: JsonObject) -> bool:
    if body.get("include_reasoning") is False or fields.get(body, HIDE_FIELD) is True:
        return False  # engines then hide the log-probabilities too
    if body.get("logprobs"):
        return (body.get("top_logprobs") or 0) >= CANDIDATES
    return body.get("top_logprobs") is None


def _is_of_logprobs(error: BackendRefused) -> bool:
    return "logprob" in f"{error.param} {error.message}".lower()
