"""Why a request that was drawn gets no shadow answer, or its pair brings nothing to learn from, in a word."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from gateway.core.call import Call
from gateway.execution.recorder import Recorder
from gateway.paired.eligibility import obstacle

OK = 200
_TEXT_PARTS = ("text", "input_text", "refusal", "thinking", "redacted_thinking", "reasoning")


def shadow_obstacle(recorder: Recorder, call: Call, read_only: Collection[str]) -> str | None:
    """None: it may be answered again. `read_only` are the tools that change nothing."""
    if not call.learns:
        return "opted_out"
    # What a client wants stored is kept somewhere; `store: false` is no reason, as nothing is stored here either.
    if call.stores:
        return "store"
    if not _all_read_only(call.body, read_only):
        return "tools"
    if _has_media(call.body):
        return "media"
    return obstacle(recorder, call) or unusable(recorder)


def unusable(recorder: Recorder) -> str | None:
    """Why an answer cannot be compared; None: it can be."""
    if recorder.status != OK or recorder.broke_off:
        return "failed"
    if recorder.finish_reason == "length":
        return "length"
    if recorder.finish_reason == "content_filter":
        return "content_filter"
    if recorder.collector is None or recorder.plan is None or recorder.plan.applied is None:
        return "no_effort_control"
    if recorder.collector.is_too_long:
        return "too_long"
    # A fallback's answer differs for more reasons than its effort.
    arm = None if recorder.assignment is None else recorder.assignment.arm
    if arm is None or recorder.plan.deployment not in arm.deployments:
        return "fallback"
    return None


def _all_read_only(body: dict[str, Any], read_only: Collection[str]) -> bool:
    tools, others = body.get("tools"), body.get("functions") or body.get("web_search_options") is not None
    if not tools and not others:
        return True
    if others or not isinstance(tools, list):
        return False
    return all(_name(tool) in read_only for tool in tools)


def _name(tool: Any) -> str:
    """Of a function; tools of other kinds may be run by the backend itself."""
    function = tool.get("function") if isinstance(tool, dict) and tool.get("type", "function") == "function" else None
    name = function.get("name") if isinstance(function, dict) else None
    return name if isinstance(name, str) else ""


def _has_media(body: dict[str, Any]) -> bool:
    messages = body.get("messages")
    contents = (one.get("content") for one in messages or () if isinstance(one, dict))
    parts = (part for content in contents if isinstance(content, list) for part in content)
    return any(isinstance(part, dict) and part.get("type", "text") not in _TEXT_PARTS for part in parts)
