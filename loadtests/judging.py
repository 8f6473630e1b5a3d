"""How far a model that judges free texts agrees with verifiers: `python -m loadtests.judging --url URL --model NAME`.

The requests are those of the task suite whose answers are free texts. Each is judged between its right answer, which
the suite's verifier confirms, and the same with one word exchanged for one of another answer, which it refuses: blind,
in both orders, as the gateway has it done.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import click
import httpx

from gateway.paired import judgement
from gateway.paired.judge import REPLY_TOKENS, judging
from gateway.paired.judgement import Judgement, JudgeRecord
from router_model.evaluation.intervals import wilson
from router_model.learning.source_weights import JUDGE, LEAST_AGREEMENT
from router_model.tasks.suite import FAMILIES, generate
from router_model.tasks.verify import verify

FREE_TEXT = ("polite", "fill", "redact", "tool_result")


class JudgedPair(NamedTuple):
    """A request with a right and a wrong answer."""

    family: str
    question: str
    right: str
    wrong: str


def pairs(seed: int, n: int) -> Iterator[JudgedPair]:
    families = [name for name in FREE_TEXT if name in FAMILIES]
    prompts = [*generate(seed, n, families=families, kinds=("instruct",), split="any")]
    rng = random.Random(seed)
    words = sorted({word for prompt in prompts for word in prompt.answer.split()})
    for prompt in prompts:
        question = "\n".join(str(one["content"]) for one in prompt.messages if one.get("content"))
        wrong = prompt.answer.split()
        wrong[rng.randrange(len(wrong))] = rng.choice(words)
        if verify(prompt, prompt.answer) == 1 and verify(prompt, " ".join(wrong)) == 0:
            yield JudgedPair(prompt.family, question, prompt.answer, " ".join(wrong))


def ask(client: httpx.Client, model: str, question: str, shown_first: str, shown_second: str) -> Judgement | None:
    body = judging(model, question, shown_first, shown_second, REPLY_TOKENS).body
    answer = client.post("chat/completions", json=body).raise_for_status().json()
    return judgement.read(answer["choices"][0]["message"]["content"] or "")


def lines(record: JudgeRecord, verdicts: Counter[str]) -> Iterator[str]:
    """A judge that prefers the right answer agrees with the verifier, a tie does by half."""
    usable = verdicts["first"] + verdicts["second"] + verdicts["tie"] + verdicts["flipped"]
    agreement = (verdicts["first"] + 0.5 * (verdicts["tie"] + verdicts["flipped"])) / usable if usable else 0.0
    low, high = wilson(agreement, usable)
    yield f"{record.verdicts} pairs: {', '.join(f'{count} {name}' for name, count in verdicts.most_common())}"
    yield f"agreement with the verifier {agreement:.3f} [{low:.3f}, {high:.3f}] of {usable} pairs in the right form"
    bias = record.position_bias
    yield "position bias: nothing was decided" if bias is None else f"position bias {bias:+.3f}"
    least = LEAST_AGREEMENT[JUDGE]
    used = not record.is_useless and low > least
    yield f"{'used' if used else 'not used'}: the lower bound has to be above {least}, and too many flips rule it out"


@click.command(help=__doc__)
@click.option("--url", required=True, help="An OpenAI-compatible endpoint, with its /v1.")
@click.option("--model", required=True)
@click.option("--pairs", "n", default=100, show_default=True)
@click.option("--seed", default=12, show_default=True)
def main(url: str, model: str, n: int, seed: int) -> None:
    record, verdicts = JudgeRecord(), Counter[str]()
    with httpx.Client(base_url=url, timeout=600) as client, ThreadPoolExecutor(4) as pool:

        def both(pair: JudgedPair) -> tuple[Judgement | None, Judgement | None]:
            straight = ask(client, model, pair.question, pair.right, pair.wrong)
            return straight, ask(client, model, pair.question, pair.wrong, pair.right)

        for straight, swapped in pool.map(both, pairs(seed, n)):
            record.add(straight, swapped)
            verdicts[judgement.both_orders(straight, swapped)] += 1
    for line in lines(record, verdicts):
        click.echo(line)


if __name__ == "__main__":
    main()
