"""Code of models: right and wrong, hostile in every way, and contained by limits of the kernel."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.core.answer import AnswerContent
from gateway.verification.protocol import AnswerTask
from gateway.verification.sandbox.run import SandboxLimits, missing_isolation, share_passed
from gateway.verification.unit_tests import code_in
from tests.gateway.verifying import says, verifier
from tests.patience import PATIENCE_S

LIMITS = SandboxLimits(cpu_s=1, wall_s=PATIENCE_S, memory_bytes=256 << 20, required=False)
TESTS = "def test_one():\n    assert f(1) == 2\ndef test_two():\n    assert f(2) == 3\n"
RIGHT = "def f(x): return x + 1\n"
# Tries every file that may be open, as it does not know which one its score is written to.
WRITE = "import os\nfor n in range(3, 9):\n  try: os.write(n, b'{}')\n  except OSError: pass\n"
isolated = pytest.mark.skipif(missing_isolation() is not None, reason="the kernel cannot isolate processes")


def share(code: str, tests: str = TESTS, limits: SandboxLimits = LIMITS) -> float | None:
    return share_passed(code, tests, limits)


def test_tests_pass_and_fail() -> None:
    assert share(RIGHT) == 1 and share("def f(x): return 2") == 0.5 and share("def f(x): return 0") == 0
    assert share(RIGHT, "assert f(1) == 2") == 1 and share(RIGHT, "assert f(1) == 3") == 0
    assert share(RIGHT + "def test_mine(): pass\n", "def test_one(): assert f(1) == 3") == 0
    assert share(RIGHT, "import unittest\nunittest.TestCase().assertEqual(f(1), 2)") == 1
    for broken in ("def f(x) return", "raise SystemExit(0)", "import os\nos._exit(0)", "import sys\nsys.exit()", "\0"):
        assert share(broken) == 0, broken
    assert share(RIGHT, "def test(") == 0


def test_what_is_code_in_an_answer() -> None:
    for text, code in (
        ("x = 1", "x = 1"),
        ("So:\n```\na\n```\nor\n```\nb\n```\n", "b\n"),
        ("```python\na\n```\n```text\nb\n```", "a\n"),
        ("```py\na\n```\nbetter:\n```Python\nb\n```", "b\n"),
        ("```python\nnever closed", "```python\nnever closed"),
    ):
        assert code_in(text) == code, text
    answer = AnswerContent(f"Here:\n```python\n{RIGHT}```")
    one = verifier("tests", run_code_of_models=True, isolation="best_effort")
    assert one.score(AnswerTask(tests=TESTS), answer) == 1
    assert one.score(AnswerTask(tests=TESTS), says("I cannot")) == 0


def test_what_takes_too_much_is_ended() -> None:
    """By the kernel, whatever else the machine is doing."""
    ignore = "import signal\nfor n in (2, 14, 15, 24, 27):\n signal.signal(n, signal.SIG_IGN)\n"
    greedy = {
        "an endless loop that catches signals": f"{ignore}while True: pass",
        "memory at once": f"a = bytearray(1 << 34)\n{RIGHT}",
        "memory by and by": "a = []\nwhile True: a.append(bytearray(1 << 20))",
        "recursion": "def g(): return g()\ng()",
        "output": f"while True:\n  for _ in range(99): exec({WRITE.format('x' * 9999)!r})",
        "a lie": f"{WRITE.format('0' * 32 + ' 2 2')}os._exit(0)",
    }
    for what, code in greedy.items():
        assert share(code) == 0, what
    assert share(RIGHT, "import time\ntime.sleep(10**9)", LIMITS._replace(wall_s=0.5)) == 0


@isolated
def test_it_may_compute_and_nothing_else(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("a key")
    tries = {
        "a fork": "import os\nos.fork()",
        "a program": "import subprocess\nsubprocess.run(['/bin/true'])",
        "another program": "import os\nos.execv('/bin/true', ['true'])",
        "a socket": "import socket\nsocket.socket()",
        "a local socket": "import socket\nsocket.socket(socket.AF_UNIX)",
        "a signal": "import os\nos.kill(os.getppid(), 0)",
        "somebody's file": f"open({str(secret)!r}).read()",
        "somebody's folder": f"import os\nos.listdir({str(tmp_path)!r})",
        "its environment": "open('/proc/self/environ').read()",
        "users": "open('/etc/passwd').read()",
        "a file here": "open('x', 'w').write('x')",
        "a file there": f"open({str(tmp_path / 'x')!r}, 'w')",
        "a folder": "import os\nos.mkdir('x')",
        "a deletion": f"import os\nos.unlink({str(secret)!r})",
        "more limits": "import resource\nresource.setrlimit(resource.RLIMIT_CPU, (99, 99))",
    }
    required = LIMITS._replace(required=True)
    # A test for each: it passes where the kernel refuses that, and nothing else.
    tests = "".join(
        f"def test_{n}():\n  try:\n{''.join(f'    {line}' + chr(10) for line in code.splitlines())}"
        f"  except (OSError, ValueError): return\n  assert False\n"
        for n, code in enumerate(tries.values())
    )
    assert share(RIGHT, tests, required) == 1
    assert share(f"import os\nwhile True: os.fork()\n{RIGHT}", limits=required) == 0
    bomb = "import os\nwhile True:\n  try: os.fork()\n  except OSError: pass\n"
    assert share(bomb, limits=required) == 0
    assert secret.read_text() == "a key" and [*tmp_path.iterdir()] == [secret]
    usual = "import collections, dataclasses, datetime, functools, heapq, itertools, json, math, random, re, typing"
    thread = "import threading\nt = threading.Thread(target=print)\nt.start()\nt.join()"
    known = {"PYTHONPATH", "PYTHONHASHSEED", "PYTHONSAFEPATH", "LC_CTYPE"}
    no_secrets = f"import os\nassert not {{*os.environ}} - {known}\n"
    assert share(f"{usual}\n{thread}\n{no_secrets}\n{RIGHT}", limits=required) == 1
