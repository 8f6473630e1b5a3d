"""A coverage-guided run of the property tests: `python -m tests.fuzz [--seconds 30] [NAME...]`.

Each test runs in a process of its own, on a corpus in runs/fuzz that grows from run to run. The first input that breaks
one is kept there and ends that test; the exit status is how many broke.
"""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
from pathlib import Path

MODULES = (
    *(f"tests.fuzz.test_{name}" for name in ("requests", "passed", "responses", "answers", "files", "engine")),
    "tests.fuzz.test_kept_answers",
    "tests.gateway.test_chat_stream",
    "tests.gateway.test_messages_properties",
)
CORPUS = Path("runs/fuzz")
# It talks to a gateway in another thread, whose coverage says nothing of the input alone.
NOT_HERE = "test_any_http_of_a_backend_is_an_answer_or_an_error"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("names", nargs="*", help="tests to run, all if left out")
    parser.add_argument("--seconds", type=int, default=30, help="for each test (default: 30)")
    parser.add_argument("--in-process", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.in_process:
        _run(given.names[0], given.seconds)
    broken = 0
    for target in _targets(given.names):
        command = [sys.executable, "-m", "tests.fuzz", "--in-process", "--seconds", str(given.seconds), target]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        lines = done.stdout.splitlines()
        status = next((line for line in reversed(lines) if line.startswith(("#", "Done"))), "")
        print(f"{target}: {'broken' if done.returncode else 'held'} {status}", flush=True)
        if done.returncode:
            broken += 1
            print("\n".join(lines[-60:]), flush=True)
    return broken


def _targets(names: list[str]) -> list[str]:
    """`module:test`, of every property test or of those named."""
    found = []
    for module in MODULES:
        for name, value in vars(importlib.import_module(module)).items():
            if hasattr(value, "hypothesis") and name != NOT_HERE and (not names or name in names):
                found.append(f"{module}:{name}")
    return found


def _run(target: str, seconds: int) -> None:
    """Never returns."""
    import atheris

    module, _, name = target.partition(":")
    with atheris.instrument_imports(include=["gateway", "router_model"], enable_loader_override=False):
        test = getattr(importlib.import_module(module), name)
    folder = CORPUS / name
    folder.mkdir(parents=True, exist_ok=True)
    options = [
        f"-max_total_time={seconds}",
        "-max_len=8192",
        f"-artifact_prefix={folder}/broken-",
        "-print_final_stats=1",
    ]
    atheris.Setup([target, *options, str(folder)], test.hypothesis.fuzz_one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
