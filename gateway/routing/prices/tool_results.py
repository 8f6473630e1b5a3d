"""The results of an agent's tools in its latest step, and whether one of them has failed.

Only plain signs of failure count: a result that says something about errors, such as a page of documentation, does not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from gateway.core.call import Call

Json = Mapping[str, Any]
# Who speaks in a message that answers a model's own tool call.
TOOL_ROLES = ("tool", "function")
# Who may speak after that without it being a new turn of the user.
OPERATORS = ("system", "developer")
# What agents add to the user's side by themselves, between these tags.
REMINDER = re.compile(r"<system-reminder>.*?</system-reminder>", re.DOTALL)
# How a failed result begins. `Error` also stands for `is_error` of the Messages dialect.
BEGINS = re.compile(
    r"\s*(?:error(?::|\s*$|\s*\n)|fatal: |panic: |traceback \(most recent call last\)|<tool_use_error>"
    r"|(?:unhandled )?exception: |[a-z_.]*(?:error|exception): |(?:bash: |sh: )?[\w./-]+: command not found"
    r"|(?:process |command )?exit(?:ed)?(?: with)?(?: code| status)?:? [1-9])",
    re.IGNORECASE,
)
# How its last line ends: what a shell or a test runner returned.
ENDS = re.compile(
    r"(?:exit(?:ed)?(?: with)?(?: code| status):? [1-9]\d*|^[\w.]*(?:Error|Exception): .*"
    r"|=+ .*\b[1-9]\d* (?:failed|errors?)\b.*=+)\W*$"
)
# Results in JSON are looked into up to this size, in bytes.
MOST_JSON = 65_536
# Of longer texts, the beginning and the end, in characters.
EDGE = 400


def latest_results(call: Call) -> list[str]:
    """The texts of the results that came since the model last spoke; none after a new turn of the user."""
    found: list[str] = []
    for message in reversed(call.body["messages"]):
        role = message.get("role")
        if role in TOOL_ROLES:
            failed = message.get("tool_call_id") in call.failed_tools
            found.append("Error" if failed else "\n".join(_texts(message)))
        elif found or not (role in OPERATORS or (role == "user" and _is_added(message))):
            break
    return found


def has_failed(result: str) -> bool:
    """Whether the result of a tool says that it failed."""
    if result.lstrip()[:1] == "{" and len(result) <= MOST_JSON:
        try:
            return _says_so(orjson.loads(result))
        except orjson.JSONDecodeError:
            pass
    last = result[-EDGE:].rstrip().rpartition("\n")[2]
    return bool(BEGINS.match(result[:EDGE]) or ENDS.search(last))


def _says_so(result: Json) -> bool:
    """An object with an error in it, or with a status that is none of success."""
    if any(result.get(name) for name in ("error", "is_error", "isError")):
        return True
    if any(result.get(name) is False for name in ("ok", "success")):
        return True
    metadata = result.get("metadata")
    for one in (result, metadata if isinstance(metadata, dict) else {}):
        if any(type(one.get(name)) is int and one[name] != 0 for name in ("exit_code", "exitCode", "returncode")):
            return True
    return False


def _is_added(message: Json) -> bool:
    """Whether an agent has added it, and not the user: reminders, and the images of results."""
    return not any(REMINDER.sub("", text).strip() for text in _texts(message))


def _texts(message: Json) -> Iterator[str]:
    content = message.get("content")
    for part in content if isinstance(content, list) else (content,):
        text = part.get("text") if isinstance(part, dict) else part
        if isinstance(text, str):
            yield text
