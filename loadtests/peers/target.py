"""The target of a request: its endpoint, and the model and headers that each proxy needs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# A prompt inside the shipped router's training distribution, so that the learned decision runs completely.
PROMPT = "Ann has 31 apples. Ann gets 5. Ann gives away 9. Ann gets 2. How many apples does Ann have now?"


@dataclass(frozen=True)
class Target:
    """One chat endpoint on loopback, with the model and headers that it needs."""

    port: int
    model: str = "m"
    path: str = "/v1/chat/completions"
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.path}"

    def body(self, orders: str = "", **fields: Any) -> dict[str, Any]:
        """A request body. `orders` for the upstream are appended to the prompt; `fields` are added or replaced."""
        content = f"{PROMPT} {orders}" if orders else PROMPT
        return {"model": self.model, "messages": [{"role": "user", "content": content}], **fields}

    def request(self, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> bytes:
        """A complete HTTP request."""
        return self.raw(json.dumps(body, separators=(",", ":")).encode(), headers)

    def raw(self, data: bytes, headers: Mapping[str, str] | None = None) -> bytes:
        lines = {
            "host": f"127.0.0.1:{self.port}",
            "content-type": "application/json",
            "accept-encoding": "identity",
            "content-length": str(len(data)),
            **self.headers,
            **(headers or {}),
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        return f"POST {self.path} HTTP/1.1\r\n{head}\r\n".encode() + data
