"""The verifiers' process: reads jobs from its input, one a line, and writes a line with the score of each.

A job that takes too much CPU time ends the process, and so does one that takes too much memory: the gateway notes that
it failed, and begins another process. Schemas and answers are what clients and models have written.
"""

from __future__ import annotations

import resource
import signal
import sys

import orjson

from gateway.verification.job import load

# Per job, in seconds of CPU time of this process; what a verifier begins has limits of its own.
CPU_S = 1.0
MEMORY_BYTES = 1 << 30


def main() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    # Interrupts are for the gateway, which closes the input of this process when it stops.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    out = sys.stdout.buffer
    for line in sys.stdin.buffer:
        # Its signal ends the process at once, also inside a library that never returns to the interpreter.
        signal.setitimer(signal.ITIMER_PROF, CPU_S)
        out.write(orjson.dumps(_score(line)) + b"\n")
        signal.setitimer(signal.ITIMER_PROF, 0)
        out.flush()


def _score(line: bytes) -> dict[str, float | str | None]:
    try:
        verifier, task, answer = load(line)
        return {"score": verifier.score(task, answer)}
    except Exception as error:
        return {"error": type(error).__name__}


if __name__ == "__main__":
    main()
