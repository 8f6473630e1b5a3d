"""A backend that serves every family, and does what it is told as that family would: what is not legal, it refuses.

What is legal is read off the family's row here, and not out of the code that tells it. It thinks for as long as it may
and likes to, and says in its usage how long that was.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.core.family import Family
from gateway.families.history import NAMES
from gateway.families.table import family as row_of
from tests.gateway.scripted import Connection, delta

# Where any family is told how hard to think; nothing else may be there.
PLACES = ("reasoning_effort", "reasoning", "thinking", "thinking_token_budget", "thinking_budget", "enable_thinking",
          "chat_template_kwargs", "custom_params", "extra_body")  # fmt: skip
# What it is asked for, at most, in tokens; what it is for depends on the prompt.
LONGEST = 6000
ANSWER_TOKENS = 4


class Illegal(Exception):
    """The family does not know what it was told."""


@dataclass(frozen=True)
class Told:
    thinks: bool
    budget: int | None = None


def served_as(name: str, engine: str, role: str = "") -> str:
    """The name of the model at the backend. `role` is `none` or `think` where the deployment is the switch."""
    return f"{name}@{engine}#{role}"


def told(family: Family, role: str, body: Mapping[str, Any]) -> Told:
    """What a request says. Illegal: something that the family does not take."""
    said = dict(_leaves({name: body[name] for name in PLACES if name in body}))
    legal = {family.level_field, family.budget_field}
    for fields in (family.off, family.on, family.budget_with, family.history_with):
        legal |= {name for name, _ in _leaves(fields or {})}
    if unknown := said.keys() - legal:
        raise Illegal(f"unknown: {unknown}")
    off = dict(_leaves(family.off or {}))
    is_off = bool(off) and off.items() <= said.items()
    level = said.get(family.level_field or "")
    if level is not None and not is_off and level not in family.levels.values():
        raise Illegal(f"no level: {level!r}")
    budget = said.get(family.budget_field or "")
    if budget is not None and not is_off:
        _check_budget(family, budget, level, body)
    if family.on is None or role == "none":
        return Told(thinks=False)
    return Told(thinks=not is_off, budget=None if is_off else _unless_unlimited(family, budget))


def check_history(family: Family, messages: list[dict[str, Any]]) -> None:
    names = {name for message in messages for name in NAMES if message.get(name)}
    if names and (family.history == "drop" or names != {family.history_field}):
        raise Illegal(f"thoughts under {names}")


async def obeying(connection: Connection) -> None:
    """A script for the scripted backend."""
    body = connection.request.body
    if connection.request.path.endswith("/models"):
        await connection.answer(200, b'{"object":"list","data":[]}')
        return
    row, role = body["model"].split("#")
    family = row_of(*row.split("@"))
    try:
        effort = told(family, role, body)
        check_history(family, body["messages"])
    except Illegal as error:
        refusal = {"error": {"message": f"{row}: {error}", "type": "invalid_request_error", "code": "not_legal"}}
        await connection.answer(400, json.dumps(refusal).encode())
        return
    n = body.get("n") or 1
    thoughts = [_length(effort, body, index) for index in range(n)]
    spent = sum(thoughts)
    usage = {"prompt_tokens": 9, "completion_tokens": spent + n, "total_tokens": 9 + spent + n}
    usage |= {"completion_tokens_details": {"reasoning_tokens": spent}}
    field = family.answer_field or ""
    said = [{**({field: "hm"} if field and thought else {}), "content": "four"} for thought in thoughts]
    if body.get("stream"):
        await _stream(connection, said, usage)
        return
    choices = [
        {"index": index, "message": {"role": "assistant", **message}, "finish_reason": "stop"}
        for index, message in enumerate(said)
    ]
    answer = {"id": "c", "object": "chat.completion", "created": 1, "model": body["model"], "choices": choices}
    await connection.answer(200, json.dumps({**answer, "usage": usage}).encode())


async def _stream(connection: Connection, said: list[dict[str, Any]], usage: dict[str, Any]) -> None:
    await connection.begin_stream()
    for index, message in enumerate(said):
        for name, value in message.items():
            await connection.event(_of_choice(delta(**{name: value}), index))
        await connection.event(_of_choice(delta("stop"), index))
    await connection.event({**delta(), "choices": [], "usage": usage})
    await connection.event("[DONE]")
    await connection.end_stream()


def _of_choice(chunk: dict[str, Any], index: int) -> dict[str, Any]:
    chunk["choices"][0]["index"] = index
    return chunk


def _length(effort: Told, body: Mapping[str, Any], index: int) -> int:
    """How long a choice thinks: the same for the same prompt, and at most as long as it may."""
    if not effort.thinks:
        return 0
    wanted = 1 + zlib.crc32(f"{body['messages'][-1]['content']} {index}".encode()) % LONGEST
    limits = [body[name] - 1 for name in ("max_tokens", "max_completion_tokens") if body.get(name)]
    return min([wanted, *limits, *([] if effort.budget is None else [effort.budget])])


def _check_budget(family: Family, budget: Any, level: Any, body: Mapping[str, Any]) -> None:
    if _unless_unlimited(family, budget) is None:
        return
    if type(budget) is not int or budget < family.budget_least or budget % family.budget_step:
        raise Illegal(f"no budget: {budget!r}")
    if family.budget_most is not None and budget > family.budget_most:
        raise Illegal(f"too large a budget: {budget}")
    if family.budget_instead and level is not None:
        raise Illegal("a budget beside a level")
    if not dict(_leaves(family.budget_with)).items() <= dict(_leaves(body)).items():
        raise Illegal("a budget without what belongs to it")
    if any(body.get(name) and body[name] <= budget for name in ("max_tokens", "max_completion_tokens")):
        raise Illegal("a budget that leaves nothing of the limit")


def _unless_unlimited(family: Family, budget: Any) -> Any:
    """A budget, unless it is the row's own word for none: what it says to turn thinking on."""
    on = dict(_leaves(family.on or {}))
    return None if family.budget_field and budget == on.get(family.budget_field) else budget


def _leaves(fields: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Every value with its dotted name."""
    for name, value in fields.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{above}{name}.")
        else:
            yield above + name, value
