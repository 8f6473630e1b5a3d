"""What a proxy loses on the way: fields, history, headers, errors, hang-ups. One request or two for each row.

The upstream notes what arrives; what it answers is known. A row is right when nothing is lost and nothing is said that
is not so; `seen` says in words what came.
"""

from __future__ import annotations

import http.client
import itertools
import json
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from loadtests.peers.target import Target
from loadtests.peers.upstream import ERROR, RETRY_AFTER_S, Seen, Upstream

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh")
FIELDS: Mapping[str, Any] = {
    "chat_template_kwargs": {"enable_thinking": True, "a_kwarg": "kept"},
    "thinking_token_budget": 100,
    "reasoning": {"effort": "low", "max_tokens": 64},
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "verbosity": "low",
    "metadata": {"a": "b"},
    "a_field_of_tomorrow": {"kept": [1, None, "é"]},
}
SAMPLING: Mapping[str, Any] = {"top_k": 5, "min_p": 0.1, "logit_bias": {"17": -100}, "seed": 9007199254740993}
TRACE = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate": "a=b"}
HANG_UP_S = 0.1
PATIENCE_S = 1.5
_NAMES = itertools.count()


@dataclass(frozen=True)
class Row:
    """One line of the table for one proxy."""

    right: bool
    seen: str


@dataclass(frozen=True)
class Got:
    """An answer. `whole` is False where the transfer was broken off."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    whole: bool = True

    @property
    def json(self) -> dict[str, Any]:
        try:
            value = json.loads(self.body)
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}

    @property
    def events(self) -> list[str]:
        """The data of a stream's events."""
        lines = self.body.decode("utf-8", "replace").splitlines()
        return [line.removeprefix("data:").strip() for line in lines if line.startswith("data:")]


class Probe:
    """Asks one target, and looks at what came to the upstream of it."""

    def __init__(self, target: Target, transport: Upstream) -> None:
        self._target = target
        self._transport = transport

    def ask(self, orders: str = "", headers: Mapping[str, str] | None = None, **fields: Any) -> tuple[Got, list[Seen]]:
        """The answer, and the requests that the upstream got for it."""
        name, body = self._body(orders, fields)
        return self._send(body, headers or {}), self._transport.seen(name)

    def leave(self, orders: str, **fields: Any) -> float | None:
        """Send, wait until the upstream has it (a stream: until it has begun), hang up: seconds until it notices.

        None: it never did, or there was nothing to hang up on.
        """
        name, body = self._body(orders, fields)
        with socket.create_connection(("127.0.0.1", self._target.port), timeout=10) as connection:
            connection.sendall(self._target.request(body))
            if fields.get("stream") and not _begun(connection):
                return None
            self._poll(name, lambda seen: True)
        left = time.monotonic()
        gone = self._poll(name, lambda seen: seen.gone is not None)
        return None if gone is None or gone.gone is None else max(0.0, gone.gone - left)

    def _body(self, orders: str, fields: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        name = f"{self._target.port}-{next(_NAMES)}"
        body = self._target.body(f"#id={name} {orders}".strip())
        return name, {**body, **fields, "messages": [*fields.get("messages", []), *body["messages"]]}

    def _send(self, body: Mapping[str, Any], headers: Mapping[str, str]) -> Got:
        connection = http.client.HTTPConnection("127.0.0.1", self._target.port, timeout=30)
        sent = {"content-type": "application/json", "accept-encoding": "identity", **self._target.headers, **headers}
        try:
            connection.request("POST", self._target.path, json.dumps(body), sent)
            answer = connection.getresponse()
            headers_out = {name.lower(): value for name, value in answer.getheaders()}
            try:
                return Got(answer.status, headers_out, answer.read())
            except http.client.IncompleteRead as cut:
                return Got(answer.status, headers_out, cut.partial, whole=False)
            except OSError:
                return Got(answer.status, headers_out, b"", whole=False)
        except (http.client.HTTPException, OSError):
            return Got(0, {}, b"", whole=False)
        finally:
            connection.close()

    def _poll(self, name: str, wanted: Callable[[Seen], bool]) -> Seen | None:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            found = next((seen for seen in self._transport.seen(name) if wanted(seen)), None)
            if found is not None:
                return found
            time.sleep(0.01)
        return None


def _begun(connection: socket.socket) -> bool:
    """Read on until the first chunk of a stream; False if there is none."""
    try:
        while data := connection.recv(65536):
            if b"t=" in data:
                return True
    except OSError:
        pass
    return False


def check(target: Target, transport: Upstream) -> dict[str, Row]:
    """Every row for one proxy. Errors come last: a breaker that they open must not spoil the others."""
    probe = Probe(target, transport)
    return {name: row(probe) for name, row in ROWS.items()}


def _effort(probe: Probe) -> Row:
    passed = [effort for effort in EFFORTS if _arrives(probe, "reasoning_effort", effort).right]
    if len(passed) in (0, len(EFFORTS)):
        return Row(bool(passed), "yes" if passed else _arrives(probe, "reasoning_effort", EFFORTS[-1]).seen)
    return Row(False, f"only {', '.join(passed)}")


def _field(name: str) -> Callable[[Probe], Row]:
    return lambda probe: _arrives(probe, name, FIELDS[name])


def _arrives(probe: Probe, name: str, value: Any) -> Row:
    got, seen = probe.ask(**{name: value})
    if got.status != 200:
        return Row(False, f"HTTP {got.status}")
    return _kept({name: value}, seen)


def _kept(wanted: Mapping[str, Any], seen: list[Seen]) -> Row:
    """Whether the upstream's last request has these fields as they were."""
    body = seen[-1].body if seen else {}
    lost = [name for name, value in wanted.items() if name not in body]
    changed = [name for name, value in wanted.items() if name in body and body[name] != value]
    if not lost and not changed:
        return Row(True, "yes")
    if len(lost) == len(wanted):
        return Row(False, "no")
    return Row(False, "; ".join(filter(None, [_names("lost", lost), _names("changed", changed)])))


def _names(what: str, names: list[str]) -> str:
    return f"{what} {', '.join(names)}" if names else ""


def _sampling(probe: Probe) -> Row:
    got, seen = probe.ask(**SAMPLING)
    return _kept(SAMPLING, seen) if got.status == 200 else Row(False, f"HTTP {got.status}")


def _history(probe: Probe) -> Row:
    thought = {"reasoning": "two and two", "reasoning_content": "two and two"}
    earlier = [{"role": "user", "content": "2 + 2?"}, {"role": "assistant", "content": "4", **thought}]
    got, seen = probe.ask(messages=earlier)
    if got.status != 200:
        return Row(False, f"HTTP {got.status}")
    said = [message for message in seen[-1].body["messages"] if message["role"] == "assistant"] if seen else []
    return _both({name for name in thought if said and said[0].get(name) == thought[name]})


def _both(names: set[str]) -> Row:
    return Row(len(names) == 2, "both" if len(names) == 2 else f"`{names.pop()}` only" if names else "neither")


def _reply_names(probe: Probe) -> Row:
    choices = probe.ask()[0].json.get("choices") or [{}]
    return _both({"reasoning", "reasoning_content"} & (choices[0].get("message") or {}).keys())


def _streamed_names(probe: Probe) -> Row:
    names: set[str] = set()
    for chunk in _chunks(probe.ask(stream=True)[0]):
        for choice in chunk.get("choices") or []:
            delta = choice.get("delta") or {}
            names |= {name for name in ("reasoning", "reasoning_content") if delta.get(name)}
    return _both(names)


def _chunks(got: Got) -> list[dict[str, Any]]:
    chunks = []
    for event in got.events:
        try:
            chunks.append(json.loads(event))
        except ValueError:
            continue
    return [chunk for chunk in chunks if isinstance(chunk, dict)]


def _usage(probe: Probe) -> Row:
    whole = _thinking(probe.ask()[0].json.get("usage"))
    chunks = _chunks(probe.ask(stream=True, stream_options={"include_usage": True})[0])
    streamed = next((found for chunk in chunks if (found := _thinking(chunk.get("usage")))), None)
    where = [name for name, found in (("plain", whole), ("streamed", streamed)) if found == 40]
    return Row(len(where) == 2, "yes" if len(where) == 2 else f"{where[0]} only" if where else "no")


def _thinking(usage: Any) -> Any:
    return ((usage or {}).get("completion_tokens_details") or {}).get("reasoning_tokens")


def _reply_field(probe: Probe) -> Row:
    kept = probe.ask()[0].json.get("a_field_of_tomorrow") == {"kept": True}
    return Row(kept, "yes" if kept else "no")


def _trace(probe: Probe) -> Row:
    seen = probe.ask(headers=TRACE)[1]
    came = seen[-1].headers if seen else {}
    # The parent's own span may be another, as it would be for a proxy that traces.
    ids = came.get("traceparent", "").split("-")[1:2] == TRACE["traceparent"].split("-")[1:2]
    state = TRACE["tracestate"] in came.get("tracestate", "")
    return Row(ids and state, "yes" if ids and state else "traceparent only" if ids else "no")


def _request_id(probe: Probe) -> Row:
    got, seen = probe.ask(headers={"x-request-id": "an-id-of-mine"})
    there = bool(seen) and seen[-1].headers.get("x-request-id") == "an-id-of-mine"
    back = got.headers.get("x-request-id") == "an-id-of-mine"
    text = {(True, True): "yes", (True, False): "to the upstream only", (False, True): "back only"}
    return Row(there and back, text.get((there, back), "no"))


def _left(orders: str, **fields: Any) -> Callable[[Probe], Row]:
    def row(probe: Probe) -> Row:
        seconds = probe.leave(orders, **fields)
        return Row(
            seconds is not None and seconds <= HANG_UP_S, "no" if seconds is None else f"in {1000 * seconds:.0f} ms"
        )

    return row


def _refused(status: int) -> Callable[[Probe], Row]:
    def row(probe: Probe) -> Row:
        got, seen = probe.ask(f"#status={status}")
        kept = got.headers.get("retry-after") == str(RETRY_AFTER_S)
        # Who tries again must have waited as long as it was told to.
        early = any(later.at - one.at < 0.95 * RETRY_AFTER_S for one, later in itertools.pairwise(seen))
        words = f"{got.status}, {len(seen)}{' too early' if early else ''}, {'yes' if kept else 'no'}"
        return Row(got.status == status and kept and not early, words)

    return row


def _hint(probe: Probe) -> Row:
    kept = probe.ask("#status=429")[0].headers.get("x-should-retry") == "true"
    return Row(kept, "yes" if kept else "no")


def _error(status: int) -> Callable[[Probe], Row]:
    def row(probe: Probe) -> Row:
        got, _ = probe.ask(f"#status={status}")
        error = got.json.get("error")
        error = error if isinstance(error, dict) else {}
        lost = [name for name, value in ERROR.items() if error.get(name) != value]
        text = "yes" if not lost else f"lost {', '.join(lost)}"
        return Row(got.status == status and not lost, text if got.status == status else f"HTTP {got.status}, {text}")

    return row


def _cut(probe: Probe) -> Row:
    got, _ = probe.ask("#cut=1", stream=True)
    if got.status != 200:
        return Row(got.status >= 500, f"HTTP {got.status}")
    headers_out = any(chunk.get("error") for chunk in _chunks(got)) or b"event: error" in got.body
    words = [
        "error event" if headers_out else "",
        "" if got.whole else "broken transfer",
        "[DONE]" if "[DONE]" in got.events else "",
    ]
    # An end mark after an error misleads nobody who reads events in turn, as SDKs do.
    return Row(headers_out, " + ".join(filter(None, words)) or "silent end")


ROWS: Mapping[str, Callable[[Probe], Row]] = {
    f"forwards reasoning_effort ({len(EFFORTS)} values)": _effort,
    **{f"forwards {name}": _field(name) for name in FIELDS},
    "forwards sampling fields, 64-bit seed": _sampling,
    "history keeps reasoning, both names": _history,
    "reply keeps reasoning, both names": _reply_names,
    "stream keeps reasoning, both names": _streamed_names,
    "usage has reasoning tokens": _usage,
    "reply keeps unknown fields": _reply_field,
    "traceparent, tracestate reach upstream": _trace,
    "x-request-id to upstream and back": _request_id,
    "hang-up cancels upstream, plain": _left("#wait=4"),
    "hang-up cancels upstream, stream": _left("#chunks=20 #every=0.2", stream=True),
    "upstream 400: type, param, code kept": _error(400),
    "upstream 422: type, param, code kept": _error(422),
    "upstream dies in mid-stream": _cut,
    "429: status, tries, Retry-After kept": _refused(429),
    "x-should-retry kept": _hint,
    "503: status, tries, Retry-After kept": _refused(503),
    "upstream 500: type, param, code kept": _error(500),
}
