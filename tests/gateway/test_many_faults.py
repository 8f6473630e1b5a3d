"""Hundreds of faults in a row, in a process of its own: memory and files are as they were, and no record is missing."""

from __future__ import annotations

import contextlib
import random
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests import plain_http
from tests.gateway.fault_scripts import BODY, FIRST, HEAD, STREAM, TWICE, refuses, says, sized, streams
from tests.gateway.processes import Process
from tests.gateway.scripted import MODEL, ScriptedBackend, obedient, sse
from tests.patience import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads a process's memory and files in /proc")
ASK = {"model": "pub", "messages": [{"role": "user", "content": "hi"}]}
SCRIPTS = [
    obedient,
    says(),
    says(then="close"),
    says(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000),
    sized(HEAD, BODY[:99], len(BODY), "cut"),
    sized(HEAD, BODY, len(BODY) - 9, "keep"),
    sized(HEAD, BODY[:-9], len(BODY) - 9, "keep"),
    streams(FIRST, then="cut"),
    streams(FIRST, then="close"),
    streams(FIRST, sse("{")),
    streams(FIRST, b"x" * 200_000, then="cut"),
    streams(*TWICE, FIRST),
    streams(STREAM[:100]),
    refuses(429),
    refuses(500),
]


def held(pid: int) -> tuple[int, int]:
    """Bytes of memory, and open files other than the records'."""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    memory = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS:"))
    files = 0
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            files += "records.db" not in str(path.readlink())
    return memory, files


@pytest.mark.parametrize("times", [500, pytest.param(5000, marks=pytest.mark.long)])
def test_many_faults_leave_a_process_as_it_was(backend: ScriptedBackend, tmp_path: Path, times: int) -> None:
    config, database = tmp_path / "thinkgate.toml", tmp_path / "records.db"
    config.write_text(
        f'records.path = "{database}"\n'
        f'deployments.dep = {{ url = "{backend.url}", model = "{MODEL}", family = "qwen3", verify = false }}\n'
        'models.pub = { deployment = "dep" }\n',
        "utf-8",
    )
    dice = random.Random(3)
    with Process("--config", config, "--port", "0", cwd=tmp_path) as gateway:
        with plain_http.client(base_url=gateway.url()) as client:

            def ask(times: int) -> None:
                for _ in range(times):
                    backend.script = dice.choice(SCRIPTS)
                    body = {
                        "model": "pub",
                        "stream": dice.random() < 0.5,
                        "messages": [{"role": "user", "content": "x"}],
                    }
                    client.post("/v1/chat/completions", json=body)
                backend.script = obedient
                assert client.post("/v1/chat/completions", json={**body, "stream": False}).status_code == 200

            ask(299)
            memory, files = held(gateway.popen.pid)
            ask(times - 1)
            until(lambda: held(gateway.popen.pid)[1] <= files)
            assert held(gateway.popen.pid)[0] < 1.1 * memory, "of which most is the program"
        assert gateway.stop() == 0
    with closing(sqlite3.connect(database)) as records:
        counts = records.execute("SELECT count(*), count(DISTINCT request_id) FROM records").fetchone()
    assert counts == (300 + times, 300 + times)
