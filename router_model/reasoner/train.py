"""The training loop of one stage, with a learning rate that is constant and then decays."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer
from torch import Tensor, distributed, nn

from router_model.reasoner.data import RowStream, batches
from router_model.reasoner.model import Reasoner
from router_model.reasoner.optim import Muon
from router_model.reasoner.template import ModelName

MUON_RATE, ADAM_RATE = 0.02, 4e-3
BATCH_TOKENS = 4096
WARM_UP_STEPS = 50


@dataclass(frozen=True, slots=True)
class Stage:
    """`draws` prompts are drawn from the stream of `seed`; a split model trains on its half of them.

    Two models with the same `draws` and `seed` get matched samples. The learning rate decreases linearly to 0 over the
    last fraction `decay` of the stage.
    """

    model: ModelName
    draws: int
    seed: int
    decay: float


def _rate(step: int, progress: float, decay: float) -> float:
    return min(1.0, (step + 1) / WARM_UP_STEPS) * (min(1.0, (1 - progress) / decay) if decay else 1.0)


def _average(weights: list[nn.Parameter], alive: bool) -> bool:
    """Average gradients over the worker processes; False as soon as one worker has run out of samples."""
    if not distributed.is_initialized():
        return alive
    gradients = [w.grad if w.grad is not None else torch.zeros_like(w) for w in weights]
    flat = torch.cat([g.reshape(-1) for g in gradients] + [torch.tensor([float(alive)])])
    distributed.all_reduce(flat)
    workers = distributed.get_world_size()
    for weight, part in zip(weights, torch.split(flat[:-1], [w.numel() for w in weights]), strict=True):
        weight.grad = (part / workers).view_as(weight)
    return bool(flat[-1].item() == workers)


def train_stage(reasoner: Reasoner, tokenizer: Tokenizer, stage: Stage, report: Callable[[str], None]) -> None:
    """Train in place; deterministic for a given stage, number of workers and machine.

    Within a `torch.distributed` group each worker draws its own share of the prompts and gradients are averaged.
    """
    workers, rank = (distributed.get_world_size(), distributed.get_rank()) if distributed.is_initialized() else (1, 0)
    weights = list(reasoner.parameters())
    matrices = [w for n, w in reasoner.named_parameters() if w.ndim == 2 and "embed" not in n]
    others = [w for n, w in reasoner.named_parameters() if w.ndim != 2 or "embed" in n]
    muon, adam = Muon(matrices), torch.optim.AdamW(others, lr=ADAM_RATE, betas=(0.9, 0.95), weight_decay=0.0)
    draws, seed = stage.draws // workers, stage.seed * 1000 + rank
    stream = RowStream(stage.model, tokenizer, seed, draws)
    feed = batches(iter(stream), BATCH_TOKENS // workers, seed)
    tokens, step, smooth, started, cpu = 0, 0, 0.0, time.perf_counter(), time.process_time()
    while True:
        batch = next(feed, None)
        loss: Tensor | None = None
        if batch is not None:
            loss = reasoner.loss(batch)
            loss.backward()  # type: ignore[no-untyped-call]
            tokens += batch.ids.size
        if not _average(weights, batch is not None):
            return
        rate = _rate(step, min(1.0, stream.drawn / draws), stage.decay)
        torch.nn.utils.clip_grad_norm_(others, 1.0)
        for group in adam.param_groups:
            group["lr"] = ADAM_RATE * rate
        adam.step()
        adam.zero_grad()
        muon.step(MUON_RATE * rate)
        step += 1
        if loss is not None:
            smooth = loss.item() if step == 1 else 0.98 * smooth + 0.02 * loss.item()
        if step % 100 == 0 and rank == 0:
            seconds, minutes = time.perf_counter() - started, (time.process_time() - cpu) / 60
            speed = tokens * workers / seconds / 1e3
            report(
                f"{stage.model}: {stream.drawn / draws:.0%}, {tokens * workers / 1e6:.1f} M tokens, loss {smooth:.3f}, "
                f"{speed:.1f} k tokens/s, {minutes * workers:.1f} CPU-min"
            )
