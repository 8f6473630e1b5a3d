"""Tool tasks without reasoning: call the right function with the right argument, or put its result into words."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from typing import Any

from router_model.tasks.prompt import Problem, Task
from router_model.tasks.words import CITIES, ITEMS, NAMES

_TOOLS = {
    "get_weather": ("city", "Weather in a city"),
    "get_price": ("item", "Price of an item"),
    "get_order": ("order", "Status of an order"),
    "find_person": ("name", "Phone of a person"),
}


def _schema(name: str) -> dict[str, Any]:
    argument, description = _TOOLS[name]
    parameters = {"type": "object", "properties": {argument: {"type": "string"}}, "required": [argument]}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


def offered_tools(slots: Mapping[str, str]) -> list[dict[str, Any]]:
    """The tool schemas that a request with these slots carries."""
    return [_schema(name) for name in slots["tools"].split()]


def build_tool_call(rng: random.Random, level: int) -> Problem:
    name = rng.choice(list(_TOOLS))
    argument, _ = _TOOLS[name]
    value = {
        "city": rng.choice(CITIES),
        "item": rng.choice(ITEMS),
        "order": "".join(rng.choices("123456789", k=4)),
        "name": rng.choice(NAMES),
    }[argument]
    others = rng.sample([tool for tool in _TOOLS if tool != name], level)
    need = {
        "get_weather": f"the weather in {value}",
        "get_price": f"the price of the {value}",
        "get_order": f"the status of order {value}",
        "find_person": f"the phone number of {value}",
    }[name]
    slots = {"need": need, "tools": " ".join(rng.sample([name, *others], 1 + level)), "user": rng.choice(NAMES)}
    call = json.dumps({"name": name, "arguments": {argument: value}})
    return Problem(
        slots,
        f"Wanted is {need}\nThe tool is {name} with {argument} {value}",
        f"<tool_call>\n{call}\n</tool_call>",
        f"tool {need} {slots['tools']}",
    )


def build_tool_result(rng: random.Random, level: int) -> Problem:
    problem = build_tool_call(rng, level)
    call = json.loads(problem.answer.split("\n")[1])
    value = next(iter(call["arguments"].values()))
    result, sentence = {
        "get_weather": (rng.choice(("sunny", "cloudy", "windy", "rainy")), "It is {result} in {value}."),
        "get_price": (str(rng.randint(10, 99)), "The {value} costs {result}."),
        "get_order": (rng.choice(("shipped", "delayed", "packed", "delivered")), "Order {value} is {result}."),
        "find_person": ("".join(rng.choices("123456789", k=5)), "The number of {value} is {result}."),
    }[call["name"]]
    function = {"name": call["name"], "arguments": json.dumps(call["arguments"])}
    after = (
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "call_1", "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": result},
    )
    answer = sentence.format(result=result, value=value)
    return Problem(problem.slots, f"The tool says {result} for {value}", answer, f"{problem.key} {result}", after)


TOOL_CALL = Task("tool", build_tool_call, offered_tools)
TOOL_RESULT = Task("tool_result", build_tool_result, offered_tools)
TASKS = (TOOL_CALL, TOOL_RESULT)
