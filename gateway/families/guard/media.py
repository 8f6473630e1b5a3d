"""Checks URLs that a backend would fetch against the schemes and hosts that the operator allows.

Only content parts are inspected, so plain text costs nothing; within a part, every key from which engines are known to
read a URL or path counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from gateway.core.errors import InvalidRequest
from gateway.core.field_policy import MediaPolicy
from gateway.core.reasoning import REASONING_FIELDS
from gateway.families.guard import hosts

# Must be URLs: engines read a value without scheme as a path on their own disk.
URL_KEYS = frozenset(
    {
        *("url", "uri", "image_url", "video_url", "audio_url", "file_url", "server_url", "input_image", "input_video"),
        *("image", "video", "audio", "image_path", "file_path", "path", "src", "source"),
        *("images", "videos", "audios", "image_urls", "video_urls", "audio_urls"),
    }
)
# May also be bare base64, which a path with a dot is not.
DATA_KEYS = frozenset({"file_data", "data"})
# Message fields that hold no media.
_USUAL = frozenset({"role", "content", "name", "tool_calls", "tool_call_id", *REASONING_FIELDS, "refusal"})
LONGEST = 8192
CODE = "media_not_allowed"
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_ODD = re.compile(r"[\x00-\x20\x7f\\]")
_AUTHORITY = re.compile(r"//([^/?#]*)")
_PORT = re.compile(r"(.*?)(?::[0-9]{0,5})?")
# Under any other key of a part, a value that begins like a URL counts as one, except in text.
_BEGINS_AS_URL = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.-]*:/")
_WORDS = frozenset({"text", "refusal", "thinking", "title", "description", "context"})
_TEXTS = ("text", "input_text", "output_text", "refusal")


def check(body: dict[str, Any], policy: MediaPolicy) -> None:
    """InvalidRequest: a message or a non-function tool has a URL that may not be fetched."""
    for param, part in _parts(body):
        _walk(part, param, policy)


def _parts(body: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Everything that may hold a URL, with its location."""
    messages = body.get("messages")
    for index, message in enumerate(messages if type(messages) is list else ()):
        if type(message) is not dict:
            continue
        if not _USUAL.issuperset(message):
            named = {name: value for name, value in message.items() if name.strip().casefold() in URL_KEYS}
            yield f"messages[{index}]", named
        content = message.get("content")
        if type(content) is dict:
            yield f"messages[{index}].content", content
        if type(content) is not list:
            continue
        for place, part in enumerate(content):
            if type(part) is dict and len(part) == 2 and part.get("type") in _TEXTS and type(part.get("text")) is str:
                continue
            yield f"messages[{index}].content[{place}]", part
    tools = body.get("tools")
    for index, tool in enumerate(tools if type(tools) is list else ()):
        if type(tool) is dict and tool.get("type", "function") != "function":
            yield f"tools[{index}]", tool


def _walk(value: Any, param: str, policy: MediaPolicy) -> None:
    if type(value) is list:
        for index, inner in enumerate(value):
            _walk(inner, f"{param}[{index}]", policy)
    if type(value) is not dict:
        return
    for spelled, inner in value.items():
        here = f"{param}.{spelled[:60]}"
        key = spelled.strip().casefold()
        if type(inner) is str:
            is_url = key in URL_KEYS or (key in DATA_KEYS and not _is_base64(inner))
            if is_url or (key not in _WORDS and _BEGINS_AS_URL.match(inner)):
                _check_url(inner, here, policy)
        elif key in URL_KEYS and type(inner) is list:
            for index, one in enumerate(inner):
                if type(one) is str:
                    _check_url(one, f"{here}[{index}]", policy)
                else:
                    _walk(one, f"{here}[{index}]", policy)
        else:
            _walk(inner, here, policy)


def _is_base64(text: str) -> bool:
    return "." not in text and ":" not in text and "\\" not in text


def _check_url(url: str, param: str, policy: MediaPolicy) -> None:
    match = _SCHEME.match(url)
    scheme = match[1].lower() if match else ""
    if match is None or scheme not in policy.schemes:
        named = f"the scheme {scheme[:20]!r}" if match else "no scheme"
        legal = ", ".join(sorted(policy.schemes))
        raise refused(param, f"has {named}: it must be a URL with one of {legal}.")
    if scheme == "data":
        return
    if len(url) > LONGEST or _ODD.search(url):
        raise refused(param, f"must be a URL of at most {LONGEST} characters, without spaces or backslashes.")
    authority = _AUTHORITY.match(url, match.end())
    host = None if authority is None or "@" in authority[1] else hosts.canonical(_without_port(authority[1]))
    if host is None:
        raise refused(param, "must name a host in plain letters, or an address in its usual form, and no user.")
    if policy.hosts and not any(_matches(host, pattern) for pattern in policy.hosts):
        raise refused(param, "names a host that is not among those allowed here.")
    if not policy.private and not hosts.is_public(host):
        raise refused(param, "names a host that is not on the public internet.")


def _without_port(authority: str) -> str:
    match = _PORT.fullmatch(authority)
    return match[1] if match else ""


def _matches(host: str, pattern: str) -> bool:
    return host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern


def refused(param: str, message: str) -> InvalidRequest:
    return InvalidRequest(f"{param} {message}", param=param, code=CODE)
