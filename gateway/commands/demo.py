"""`make demo`: real prompts through the official SDK, and a table of accuracy and cost for each policy.

Starts `thinkgate serve` without a configuration (which starts the embedded engine), sends every prompt once per policy
and backend over HTTP, judges the answers with the suite's verifiers and prints one table.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from gateway.commands.demo_table import Row, table
from gateway.commands.lines import progress_of, say
from router_model import extras
from router_model.data import output_files
from router_model.evaluation.intervals import wilson
from router_model.tasks import FAMILIES, ROUTER_NEW_FAMILIES, Prompt, generate, verify

if TYPE_CHECKING:
    import openai
    from tqdm import tqdm

SEED = 2026
CONCURRENCY = 16
BACKENDS = {"merged": "tiny", "split": "tiny-split"}
BUDGETS = (16, 32, 64, 128)
DIALS = (0.3, 0.5, 0.65)
RECORDS_WITHIN_S = 30
READY = "thinkgate ready on "


@dataclass(frozen=True, slots=True)
class DemoPolicy:
    """A row of the table: its name and what the client sends to get it."""

    name: str
    ask: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class DemoAnswer:
    """The result of one request: score in [0,1], tokens, wall-clock seconds measured by the client.

    `thinking_tokens` include those of a discarded probe.
    """

    request_id: str
    score: float
    thinking_tokens: int
    total_tokens: int
    latency_s: float


def policies(quick: bool) -> list[DemoPolicy]:
    """Never, always, fixed budgets and dial positions, as a client requests them."""
    budgets = BUDGETS[1:3] if quick else BUDGETS
    return [
        DemoPolicy("never", {"reasoning_effort": "none"}),
        *(DemoPolicy(f"budget-{n}", {"extra_body": {"thinking_token_budget": n}}) for n in budgets),
        DemoPolicy("always", {"reasoning_effort": "max"}),
        *(DemoPolicy(f"dial-{x}", {"extra_body": {"thinkgate": {"dial": x}}}) for x in DIALS),
    ]


def traffic(n: int) -> list[Prompt]:
    """Prompts, half of them instructions and half reasoning tasks, at uniform levels of difficulty. The problems are
    new to the models, and the phrasings to the router.
    """
    known = [name for name in FAMILIES if name not in ROUTER_NEW_FAMILIES]
    return list(generate(SEED, n, split="held-out", families=known, new_phrasings=True))


async def _ask(
    client: openai.AsyncOpenAI, model: str, policy: DemoPolicy, prompt: Prompt, request_id: str
) -> DemoAnswer:
    started = time.perf_counter()
    extra: dict[str, Any] = {"tools": prompt.tools} if prompt.tools else {}
    completion = await client.chat.completions.create(
        model=model,
        messages=prompt.messages,  # type: ignore[arg-type]
        temperature=0,
        extra_headers={"x-request-id": request_id},
        **extra,
        **policy.ask,
    )
    latency = time.perf_counter() - started
    message, usage = completion.choices[0].message, completion.usage
    details = usage.completion_tokens_details if usage else None
    return DemoAnswer(
        request_id,
        verify(prompt, message.content, message.tool_calls),
        (details.reasoning_tokens or 0) + (details.rejected_prediction_tokens or 0) if details else 0,
        usage.completion_tokens if usage else 0,
        latency,
    )


async def _run_policy(
    client: openai.AsyncOpenAI, backend: str, policy: DemoPolicy, prompts: Sequence[Prompt], progress: tqdm[Any]
) -> list[DemoAnswer]:
    gate = asyncio.Semaphore(CONCURRENCY)

    async def one(index: int, prompt: Prompt) -> DemoAnswer:
        async with gate:
            answer = await _ask(client, BACKENDS[backend], policy, prompt, f"demo-{backend}-{policy.name}-{index}")
            progress.update()
            return answer

    return await asyncio.gather(*(one(i, prompt) for i, prompt in enumerate(prompts)))


def _decision_times(database: Path, wanted: int) -> dict[str, float]:
    """Milliseconds from parsed request to decision by request id, from the gateway's records.

    Waits until all requests are recorded, as the gateway writes records in the background.
    """
    found: dict[str, float] = {}
    deadline = time.monotonic() + RECORDS_WITHIN_S
    while len(found) < wanted:
        if time.monotonic() > deadline:
            raise click.ClickException(f"only {len(found)} of {wanted} requests were recorded in {database}")
        with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            found = dict(connection.execute("SELECT request_id, decision_ms FROM records").fetchall())
    return found


def _row(policy: str, backend: str, answers: Sequence[DemoAnswer], decisions: Mapping[str, float]) -> Row:
    scores = np.array([answer.score for answer in answers])
    latencies = np.array([answer.latency_s for answer in answers])
    return Row(
        name=policy,
        backend=backend,
        prompts=len(answers),
        accuracy=float(scores.mean()),
        accuracy_ci=wilson(float(scores.mean()), len(scores)),
        thinking_tokens=float(np.mean([answer.thinking_tokens for answer in answers])),
        total_tokens=float(np.mean([answer.total_tokens for answer in answers])),
        latency_p50_s=float(np.quantile(latencies, 0.5)),
        latency_p95_s=float(np.quantile(latencies, 0.95)),
        decision_ms_p99=float(np.quantile([decisions[answer.request_id] for answer in answers], 0.99)),
    )


async def measure(base_url: str, prompts: Sequence[Prompt], quick: bool) -> dict[tuple[str, str], list[DemoAnswer]]:
    """Runs every policy on both backends, one after the other, so that all rows are measured under the same load."""
    import openai

    chosen = policies(quick)
    total = len(prompts) * len(chosen) * len(BACKENDS)
    results: dict[tuple[str, str], list[DemoAnswer]] = {}
    with progress_of(total, " requests", leave=False) as progress:
        async with openai.AsyncOpenAI(base_url=base_url, api_key="none", timeout=120) as client:
            for backend in BACKENDS:
                for policy in chosen:
                    progress.set_description(f"{backend} {policy.name}")
                    results[backend, policy.name] = await _run_policy(client, backend, policy, prompts, progress)
    return results


def _start(records: Path) -> tuple[subprocess.Popen[str], str]:
    """`thinkgate serve` without a configuration, on a free port; returns it and its URL once it is ready."""
    command = [sys.executable, "-m", "gateway.cli", "serve", "--port", "0", "--records", str(records)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    for line in process.stdout or ():
        if line.startswith(READY):
            return process, line.removeprefix(READY).split()[0]
    raise click.ClickException(f"the gateway did not start (exit status {process.wait()})")


def _stop(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _snippet(url: str) -> str:
    return f"""
Left running at {url} (Ctrl-C stops it). Try:

  curl {url}/v1/chat/completions -i \\
    -H 'content-type: application/json' -d \\
    '{{"model": "tiny", "messages":
      [{{"role": "user", "content": "What is 348 + 275?"}}]}}'

  from openai import OpenAI
  client = OpenAI(base_url="{url}/v1", api_key="none")
  print(client.chat.completions.create(model="tiny", reasoning_effort="auto",
        messages=[{{"role": "user", "content": "What is 348 + 275?"}}]))
"""


@click.command()
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Write the rows here, too.")
@click.option("--keep", is_flag=True, help="Leave gateway and engine running, and print how to call them.")
@click.option("--quick", is_flag=True, help="Fewer prompts and budgets: half a minute.")
@click.option("--prompts", "count", type=click.IntRange(2), help="Number of prompts; 300, or 60 with --quick.")
def main(json_file: Path | None, keep: bool, quick: bool, count: int | None) -> None:
    """Send real prompts through the gateway and print the accuracy and cost of each policy."""
    extras.need("demo")
    try:
        if json_file is not None:
            output_files.can_put(json_file)
        _run(json_file, keep, quick, count)
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {error.strerror}") from error


def _run(json_file: Path | None, keep: bool, quick: bool, count: int | None) -> None:
    prompts = traffic(count or (60 if quick else 300))
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="thinkgate-demo-") as folder:
        records = Path(folder) / "demo.db"
        process, url = _start(records)
        try:
            say(
                f"{len(prompts)} prompts that neither models nor router have seen (half instructions, half "
                f"reasoning), each once per policy, {CONCURRENCY} at a time. Thinking tokens include those of "
                "discarded probes; a mix chooses between never and always at random.\n"
            )
            results = asyncio.run(measure(f"{url}/v1", prompts, quick))
            decisions = _decision_times(records, sum(len(answers) for answers in results.values()))
            rows = [_row(policy, backend, answers, decisions) for (backend, policy), answers in results.items()]
            say(table(rows, tuple(BACKENDS)))
            say(f"\n{sum(row.prompts for row in rows)} requests in {time.perf_counter() - started:.0f} s")
            if json_file is not None:
                output_files.put(json_file, json.dumps({"rows": [asdict(row) for row in rows]}, indent=2) + "\n")
                say(f"The rows are in {json_file.absolute()}")
            if keep:
                click.echo(_snippet(url))
                with contextlib.suppress(KeyboardInterrupt):
                    process.wait()
        finally:
            _stop(process)


if __name__ == "__main__":
    main()
