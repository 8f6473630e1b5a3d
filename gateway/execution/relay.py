"""Passes a reply on, whole or as a stream. The record is written before the client gets the last byte."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import closing

from gateway.backends.chat_answer import dumped, read_answer, read_id, read_usage
from gateway.execution.accounting import Accounting
from gateway.execution.answer_collector import CollectingSink
from gateway.execution.outcome import Outcome
from gateway.execution.place import Place
from gateway.execution.recorder import Recorder, WholeAnswer
from gateway.execution.streaming.chat_stream import ChatStream
from gateway.execution.streaming.corrected_usage import correct
from gateway.execution.streaming.encoder import EventSink, ResponseEncoder
from gateway.execution.streaming.probe_usage import WithProbeUsage, add_probe_usage


async def whole(outcome: Outcome, encoder: ResponseEncoder, recorder: Recorder, accounting: Accounting) -> bytes:
    """The whole answer in the client's dialect. GatewayError: there is none."""
    passthrough, discarded = outcome.call.passthrough, outcome.discarded_tokens
    try:
        raw = await outcome.reply.read()
    finally:
        outcome.reply.close()
    body, usage, finish_reason = read_answer(raw, passthrough.holds if passthrough else "choices")
    changed = False
    if outcome.written:
        changed = outcome.seen.whole(body)
        if type(reported := body.get("usage")) is dict and correct(reported, outcome.seen):
            usage, changed = read_usage(reported), True
        if outcome.cut(body):
            finish_reason, changed = "length", True
    # Clients get all of it at once, also if nothing comes before its answer.
    first_answer = time.perf_counter() if outcome.seen.answer.size else None
    recorder.reading(WholeAnswer(usage, first_answer=first_answer, answer_id=read_id(body)))
    recorder.finished(finish_reason)
    if recorder.collector is not None:
        recorder.collector.whole(body)
    if discarded:
        changed = add_probe_usage(body, discarded) or changed
    answer = await encoder.whole(body, dumped(body) if changed else raw)
    accounting.close(recorder)
    return answer


async def streamed(
    place: Place,
    outcome: Outcome,
    encoder: ResponseEncoder,
    recorder: Recorder,
    accounting: Accounting,
) -> AsyncGenerator[bytes]:
    """The stream in the client's dialect. An error before the first event is raised, a later one is sent as an event.

    The place is released when the stream ends in any way.
    """
    call, reply, discarded = outcome.call, outcome.reply, outcome.discarded_tokens
    sink: EventSink = WithProbeUsage(encoder, discarded) if discarded else encoder
    if recorder.collector is not None:
        sink = CollectingSink(sink, recorder.collector)
    seen = outcome.seen if outcome.written else None
    most_bytes = outcome.plan.deployment.response_limits.max_event_bytes
    stream = ChatStream(sink, most_bytes, seen, outcome.unrequested_limit, call.choices)
    recorder.reading(stream)
    chunks = reply.chunks()
    begun = False
    with place, closing(reply):
        try:
            async for chunk in chunks:
                events = stream.feed(chunk)
                if events:
                    begun = True
                    yield events
                if stream.ended:
                    break
            stream.finish()
            recorder.finished(stream.finish_reason)
            end = await encoder.end()
            accounting.close(recorder)
            yield end
            await reply.drain(chunks)
        except (Exception, asyncio.CancelledError) as error:
            by_client = recorder.client_may_cancel and isinstance(error, asyncio.CancelledError)
            if not begun or recorder.client_gone or by_client:
                raise
            yield encoder.broken(accounting.fail(recorder, error))
