"""One probe, from its request to the decision."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace
from types import TracebackType
from typing import Any

from gateway.backends.capabilities import Capabilities
from gateway.backends.reply import Reply
from gateway.core.backend_errors import BackendFailed, BackendRefused, BackendTimeout
from gateway.core.call import Call
from gateway.core.errors import GatewayError
from gateway.core.forecast import Forecast
from gateway.core.plan import Plan
from gateway.core.probe import Probe, ProbeOptions
from gateway.execution.dispatch import Dispatch
from gateway.execution.place import Place
from gateway.execution.probe.buffered import BufferedAnswer, BufferedReply, BufferedStream
from gateway.execution.probe.result import ProbeResult

log = logging.getLogger("thinkgate")

# The margin of the first token needs the second most likely one.
CANDIDATES = 2
_LOGPROBS = {"logprobs": True, "top_logprobs": CANDIDATES}


class PendingProbe:
    """A context manager that hangs up on the probe unless it was accepted. `result` is its state so far."""

    __slots__ = ("_call", "_capabilities", "_dispatch", "_held", "_options", "_place", "result")

    def __init__(
        self,
        dispatch: Dispatch,
        capabilities: Capabilities,
        place: Place,
        call: Call,
        plan: Plan,
        options: ProbeOptions,
        before: Forecast,
    ) -> None:
        """`plan` is for the answer without thinking; `before` is the forecast that led to the probe."""
        self._dispatch, self._capabilities = dispatch, capabilities
        self._place, self._call, self._options = place, call, options
        self._held: BufferedReply | None = None
        self.result = ProbeResult(replace(plan, body=_body(plan, call, options, before)), before)

    async def listen(self) -> Probe | None:
        """The probe, read as far as the decision needs it; None if it failed: the request continues without it."""
        plan, options = self.result.plan, self._options
        begun = time.perf_counter()
        try:
            await self._place.enter(plan.deployment, options.wait_s)
            begun = time.perf_counter()
            async with asyncio.timeout(options.wait_s):
                reply = await self._dispatch.post(self._place, self._call, plan)
                self._held = held = _buffered(reply, self._call, plan)
                await held.buffer(lambda arrived: max(len(arrived.values), arrived.pieces - 1) >= options.tokens)
            probe = held.logprobs.probe(held.finish_reason, options.tokens)
            self._capabilities.note_logprobs(plan.deployment, self._call, probe is not None)
            if probe is None:
                raise BackendFailed("The probe's answer has no log-probabilities.", code="no_logprobs")
            self.result = replace(self.result, probe=probe)
        except (GatewayError, TimeoutError) as error:
            self._failed(error)
        finally:
            self._measure(begun)
        if self.result.probe is None:
            self._hang_up()
        return self.result.probe

    async def conclude(self, plan: Plan) -> Reply | None:
        """The reply, if `plan`, which was decided after the probe, accepts it as the answer; None: send that plan."""
        held, self._held = self._held, None
        if held is None:
            return None
        if plan.effort.think:
            self.result = replace(self.result, outcome="thrown_away")
            await held.drop()
            return None
        self.result = replace(self.result, outcome="kept")
        return held

    def _failed(self, error: GatewayError | TimeoutError) -> None:
        deployment = self.result.plan.deployment
        late = BackendTimeout(f"The backend {deployment.name} did not answer the probe in time.")
        known = error if isinstance(error, GatewayError) else late
        if isinstance(known, BackendRefused) and known.status < 500 and _is_of_logprobs(known):
            self._capabilities.note_logprobs_refused(deployment, self._call)
        self.result = replace(self.result, outcome="failed", why=known.code or known.type)
        log.warning("request %s continues without its probe: %s", self._call.request_id, known.for_log())

    def _measure(self, begun: float) -> None:
        """Note how long the probe took, and how much was written."""
        now, held = time.perf_counter(), self._held
        self.result = replace(self.result, seconds=now - begun)
        if held is not None:
            self.result = replace(
                self.result,
                tokens=held.usage.completion_tokens or len(held.logprobs.values),
                prompt_tokens=held.usage.prompt_tokens,
                buffered_s=0.0 if held.first_token is None else now - held.first_token,
            )

    def _hang_up(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            held.close()

    def __enter__(self) -> PendingProbe:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hang_up()


def _buffered(reply: Reply, call: Call, plan: Plan) -> BufferedReply:
    shows = bool(call.body.get("logprobs"))
    return BufferedStream(reply, shows, plan) if plan.body.get("stream") else BufferedAnswer(reply, shows)


def _body(plan: Plan, call: Call, options: ProbeOptions, before: Forecast) -> dict[str, Any]:
    """The probe's request body. A long answer is always streamed, so that it can be aborted early."""
    body = {**plan.body, **({} if call.body.get("logprobs") else _LOGPROBS)}
    if not call.stream and before.efforts[0].answer_tokens > options.tokens:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return body


def _is_of_logprobs(error: BackendRefused) -> bool:
    return "logprob" in f"{error.param} {error.message}".lower()
