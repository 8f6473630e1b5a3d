"""A raw client that does not read its answer, or hangs up in the middle, which SDKs do not."""

from __future__ import annotations

import json
import socket
from typing import Any

from tests.patience import PATIENCE_S


def asked(url: str, body: dict[str, Any], receive_buffer: int = 65_536) -> socket.socket:
    """A connection on which a chat completion was requested and nothing was read."""
    raw = json.dumps(body).encode()
    host, port = url.removeprefix("http://").split(":")
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    client.connect((host, int(port)))
    client.settimeout(PATIENCE_S)
    client.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(raw) + raw)
    return client
