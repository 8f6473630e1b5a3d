"""A port that many connections would block: which of them give way, what is told of it, and who is served anyway."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import ip_network

import pytest

from gateway.serving.connections import Connections
from tests.gateway.conftest import Start, table
from tests.gateway.running import RunningGateway
from tests.gateway.scripted import ScriptedBackend

HALF = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n"
WHOLE = b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n"


class Client:
    def __init__(self, origin: str | None = None) -> None:
        self.origin = origin
        self.gave_way = False

    def give_way(self) -> None:
        self.gave_way = True


def test_whoever_has_waited_longest_gives_way_and_never_one_at_work() -> None:
    lost: list[str] = []
    connections = Connections(3, count=lost.append)
    working, idle, slow, newest = (Client() for _ in range(4))
    for client in (working, idle, slow):
        assert connections.open(client)
    connections.works(working)
    connections.works(idle)
    connections.idles(idle)
    assert connections.open(newest) and slow.gave_way and not idle.gave_way
    connections.closed(slow)
    connections.works(newest)
    last = Client()
    assert connections.open(last) and idle.gave_way
    connections.closed(idle)
    connections.works(last)
    assert not connections.open(Client()) and lost == ["head", "idle", "full"]
    connections.closed(working)
    assert connections.open(Client()) and not any(client.gave_way for client in (working, newest, last))


def test_one_address_has_its_share_and_proxies_have_no_limit() -> None:
    connections = Connections(100, 2, [ip_network("10.0.0.0/8")])
    for address in ("192.0.2.1", "2001:db8::1"):
        one, two, three = (Client(connections.origin(address)) for _ in range(3))
        assert connections.open(one) and connections.open(two) and not connections.open(three)
        connections.closed(one)
        assert connections.open(three), "one has gone"
    assert connections.origin("2001:db8::1") == connections.origin("2001:db8::ffff")
    assert connections.origin("10.1.2.3") is None and connections.origin(None) is None
    assert all(connections.open(Client(None)) for _ in range(9))


def test_a_flood_is_told_in_a_line_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    connections = Connections(1, clock=lambda: now[0])
    caplog.set_level(logging.WARNING, "thinkgate")
    for _ in range(50):
        client = Client()
        connections.open(client)
    now[0] = 11.0
    connections.open(Client())
    first, second = (record.getMessage() for record in caplog.records)
    assert "1 closed that had sent no whole request" in first and "49 closed" in second
    assert "server.max_connections" in first


def test_half_a_request_blocks_nobody(backend: ScriptedBackend, serve: Start) -> None:
    gateway = serve({**table(backend.url), "server": {"max_connections": 20}})
    with crowd(gateway, 60, HALF):
        assert gateway.get("/health").status_code == 200
        assert gateway.post({"model": "merged", "messages": [{"role": "user", "content": "hi"}]}).status_code == 200
        assert 'thinkgate_lost_connections_total{why="head"}' in gateway.get("/metrics").text


def test_idle_connections_block_nobody_and_an_address_has_its_share(backend: ScriptedBackend, serve: Start) -> None:
    gateway = serve({**table(backend.url), "server": {"max_connections": 5, "max_connections_per_address": 4}})
    with crowd(gateway, 4, WHOLE) as clients:
        for client in clients:
            assert client.recv(12) == b"HTTP/1.1 200"
        refused = connect(gateway)
        answer = b"".join(iter(lambda: refused.recv(65_536), b""))
        refused.close()
        assert answer.startswith(b"HTTP/1.1 503") and b"too_many_connections" in answer
        clients[0].close()
        clients[1].sendall(WHOLE)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit")
def test_a_process_with_few_files_says_so_and_takes_fewer_connections() -> None:
    program = (
        "import logging, resource; logging.basicConfig()\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (228, 328))\n"
        "from gateway.serving.open_files import connections_within, raise_limit\n"
        "raise_limit(8192)\n"
        "print(connections_within(8192), connections_within(7), resource.getrlimit(resource.RLIMIT_NOFILE)[0])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.split() == ["100", "7", "328"]
    assert "328 open files are allowed" in done.stderr and "server.max_connections = 8192" in done.stderr


def connect(gateway: RunningGateway) -> socket.socket:
    host, port = gateway.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=60)


@contextmanager
def crowd(gateway: RunningGateway, number: int, sent: bytes) -> Iterator[list[socket.socket]]:
    """So many connections, each of which has sent the same."""
    with ExitStack() as stack:
        clients = [stack.enter_context(connect(gateway)) for _ in range(number)]
        for client in clients:
            try:
                client.sendall(sent)
            except ConnectionError:
                continue  # it had to give way
        yield clients
