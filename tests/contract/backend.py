"""A served engine as the contract suite sees it: a URL, the official SDK, and raw HTTP where the SDK hides too much."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import httpx
from openai import AsyncOpenAI, OpenAI

from tests import plain_http
from tests.patience import PATIENCE_S

MODEL = "tiny"
THINKING_MODEL = "tiny-thinking"
INSTRUCT_MODEL = "tiny-instruct"
Json = dict[str, Any]


@dataclass(frozen=True)
class Backend:
    """`name` is `embedded` or `vllm`; `url` ends without a slash and without /v1; `model` is what requests ask for."""

    name: str
    url: str
    model: str = MODEL

    @cached_property
    def http(self) -> httpx.Client:
        return plain_http.client(base_url=self.url)

    @cached_property
    def sdk(self) -> OpenAI:
        return OpenAI(base_url=f"{self.url}/v1", api_key="none", max_retries=0, timeout=PATIENCE_S)

    def async_sdk(self) -> AsyncOpenAI:
        """A new one for each event loop; close it there."""
        return AsyncOpenAI(base_url=f"{self.url}/v1", api_key="none", max_retries=0, timeout=PATIENCE_S)

    def close(self) -> None:
        self.http.close()
        self.sdk.close()

    def post(self, path: str, body: Json | bytes) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.http.post(path, content=content, headers={"content-type": "application/json"})

    def ask(self, path: str, body: Json) -> Json:
        """The JSON of an answer that must be a 200."""
        answer = self.post(path, body)
        assert answer.status_code == 200, answer.text
        result: Json = answer.json()
        return result

    def chat(self, messages: list[Json], **fields: Any) -> Json:
        """A greedy chat completion of `messages`."""
        return self.ask("/v1/chat/completions", self._chat(messages, fields))

    def refuse(self, messages: Any, **fields: Any) -> httpx.Response:
        """The answer to a chat completion that may be refused."""
        return self.post("/v1/chat/completions", self._chat(messages, fields))

    def complete(self, prompt: Any, **fields: Any) -> Json:
        """A greedy completion of a text or of token ids."""
        return self.ask("/v1/completions", {"model": self.model, "prompt": prompt, "temperature": 0, **fields})

    def chat_chunks(self, messages: list[Json], **fields: Any) -> list[Json]:
        """Every chunk of a streamed chat completion; the stream must end with [DONE]."""
        return self.chunks("/v1/chat/completions", self._chat(messages, {**fields, "stream": True}))

    def chunks(self, path: str, body: Json) -> list[Json]:
        with self.streaming(path, body) as events:
            received = list(events)
        assert received[-1] == "[DONE]"
        return [json.loads(event) for event in received[:-1]]

    @contextmanager
    def streaming(self, path: str, body: Json) -> Iterator[Iterator[str]]:
        """The payloads of a stream's events, one by one; leaving early hangs up."""
        with self.http.stream("POST", path, json=body) as answer:
            assert answer.status_code == 200, answer.read()
            assert answer.headers["content-type"].startswith("text/event-stream")
            yield (line.removeprefix("data: ") for line in answer.iter_lines() if line)

    def gauge(self, name: str) -> float:
        """The value of a metric of the model without further labels that matter, such as vllm:num_requests_running."""
        lines = self.http.get("/metrics").text.splitlines()
        (value,) = [
            line.rsplit(" ", 1)[1] for line in lines if line.startswith(f"{name}{{") and f'"{self.model}"' in line
        ]
        return float(value)

    def _chat(self, messages: Any, fields: Json) -> Json:
        return {"model": self.model, "messages": messages, "temperature": 0, **fields}
