"""Trains one release: a base on both kinds of samples, then three branches on matched samples.

`tiny`, `tiny-instruct` and `tiny-thinking` branch from the base, so that merged and split models differ only in the
last stage: `tiny` is trained on all its samples, each split model on exactly its half of them.
"""

from __future__ import annotations

import os
import sys
from multiprocessing import get_context
from pathlib import Path
from typing import get_args

import click
import torch
from tokenizers import Tokenizer
from torch import distributed

from router_model.reasoner.checkpoint import load_weights, save_folder
from router_model.reasoner.model import Reasoner, Shape
from router_model.reasoner.template import ModelName
from router_model.reasoner.tokenizer import train_tokenizer
from router_model.reasoner.train import Stage, train_stage

BASE_DRAWS, BRANCH_DRAWS = 100_000, 60_000


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _worker(rank: int, workers: int, port: int, out: Path, start: Path | None, stage: Stage, seed: int) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    if workers > 1:
        os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), GLOO_SOCKET_IFNAME="lo")
        distributed.init_process_group("gloo", rank=rank, world_size=workers)
    tokenizer = Tokenizer.from_file(str(out / "tokenizer.json"))
    # Several workers share the CPU's cores; a single one uses the GPU, if there is one.
    device = "cuda" if workers == 1 and torch.cuda.is_available() else "cpu"
    reasoner = Reasoner(Shape(tokenizer.get_vocab_size())).to(device)
    if start is not None:
        load_weights(reasoner, start)
    folder = out / (stage.model if start is not None else "base")

    def report(text: str) -> None:
        _say(text)
        save_folder(reasoner, tokenizer, stage.model, folder)

    train_stage(reasoner, tokenizer, stage, report)
    if rank == 0:
        save_folder(reasoner, tokenizer, stage.model, folder)


def run_stage(out: Path, start: Path | None, stage: Stage, workers: int = 1, port: int = 29511, seed: int = 0) -> None:
    """Run one stage in `workers` processes of one thread each."""
    context = get_context("spawn")
    processes = [
        context.Process(target=_worker, args=(r, workers, port, out, start, stage, seed)) for r in range(workers)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        if process.exitcode:
            raise click.ClickException(f"a training process ended with {process.exitcode}")


@click.command()
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for the model folders.")
@click.option("--seed", default=0, show_default=True, help="Seed of the branches' samples.")
@click.option("--base", type=click.Path(path_type=Path, exists=True), help="Start from this base folder.")
@click.option("--workers", default=1, show_default=True, help="Processes for the base; branches take one each.")
@click.option("--base-draws", default=BASE_DRAWS, show_default=True)
@click.option("--branch-draws", default=BRANCH_DRAWS, show_default=True)
@click.option("--model", "models", multiple=True, type=click.Choice(get_args(ModelName)), help="Only these branches.")
def main(
    out: Path,
    seed: int,
    base: Path | None,
    workers: int,
    base_draws: int,
    branch_draws: int,
    models: tuple[ModelName, ...],
) -> None:
    """Train tokenizer, base and branches into OUT."""
    out.mkdir(parents=True, exist_ok=True)
    if not (out / "tokenizer.json").exists():
        source = Tokenizer.from_file(str(base / "tokenizer.json")) if base else train_tokenizer()
        source.save(str(out / "tokenizer.json"))
    if base is None:
        base = out / "base"
        run_stage(out, None, Stage("tiny", base_draws, seed, 0.0), workers, seed=seed)
    for model in models or get_args(ModelName):
        run_stage(out, base, Stage(model, branch_draws, seed + 100, 0.7))
