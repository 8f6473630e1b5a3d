"""`python -m router_model.adapting.probe_collect`: probes of a chat model behind any OpenAI-compatible URL.

Writes a table of numbers alone: the model, the kind of question, the probe's features, and whether it was right.
"""

from __future__ import annotations

import json
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click

from router_model.adapting.probe_questions import Question, is_right, questions
from router_model.data import output_files
from router_model.model.probe import Probe

_TIMEOUT_S = 300


def collect(url: str, model: str, asked: list[Question], most_tokens: int, concurrency: int) -> list[dict[str, Any]]:
    """One row per question, in their order; `url` ends in /v1. OSError: the server cannot be reached, or refuses."""

    def row(question: Question) -> dict[str, Any]:
        body = {
            "model": model,
            "messages": [{"role": "user", "content": question.text}],
            "temperature": 0,
            "max_tokens": most_tokens,
            "logprobs": True,
            "top_logprobs": 2,
        }
        request = urllib.request.Request(
            f"{url}/chat/completions", json.dumps(body).encode(), {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as reply:
            return _row(model, question, json.load(reply)["choices"][0])

    with ThreadPoolExecutor(concurrency) as pool:
        return list(pool.map(row, asked))


def _row(model: str, question: Question, choice: dict[str, Any]) -> dict[str, Any]:
    tokens = choice["logprobs"]["content"]
    top = tokens[0]["top_logprobs"]
    margin = top[0]["logprob"] - top[1]["logprob"] if len(top) > 1 else None
    probe = Probe.of([one["logprob"] for one in tokens], margin, choice["finish_reason"] == "length")
    return {
        "model": model,
        "kind": question.kind,
        "correct": float(is_right(question, choice["message"]["content"] or "")),
        "probe_tokens": probe.tokens,
        "probe_mean": probe.mean,
        "probe_min": probe.least,
        "probe_first_margin": probe.first_margin,
        "probe_truncated": probe.truncated,
    }


@click.command()
@click.option("--url", required=True, help="The server's, with /v1 at its end.")
@click.option("--model", required=True)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="A Parquet table.")
@click.option("--n", default=660, show_default=True, help="Number of questions.")
@click.option("--seed", default=1, show_default=True)
@click.option("--max-tokens", default=48, show_default=True, help="Of an answer; longer ones are cut.")
@click.option("--concurrency", default=8, show_default=True)
def main(url: str, model: str, out: Path, n: int, seed: int, max_tokens: int, concurrency: int) -> None:
    """Ask short questions, and keep each answer's log-probabilities and whether it was right."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        rows = collect(url, model, questions(seed, n), max_tokens, concurrency)
    except OSError as error:
        raise click.ClickException(f"{url}: {error}") from error
    output_files.put_by(out, lambda new: pq.write_table(pa.Table.from_pylist(rows), new))
    right = sum(row["correct"] for row in rows) / len(rows)
    click.echo(f"{len(rows)} probes of {model} in {out.absolute()}: {right:.1%} right")


if __name__ == "__main__":
    main()
