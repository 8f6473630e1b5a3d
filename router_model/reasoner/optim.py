"""The Muon optimiser for matrices: "Muon: An optimizer for hidden layers in neural networks" (Jordan, Jin, Boza, You,
Cesista, Newhouse, Bernstein, 2024, https://kellerjordan.github.io/posts/muon).

Muon replaces the momentum of a matrix by approximately the nearest orthogonal one, with five Newton-Schulz steps.
Matrices of one shape are stacked so that each step is one batched product.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor, nn


def orthogonalise(stack: Tensor, steps: int = 5) -> Tensor:
    """Approximate U V^T of each matrix of a stack (n, rows, columns) by the quintic Newton-Schulz iteration."""
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = stack.shape[1] > stack.shape[2]
    x = stack.transpose(1, 2) if tall else stack
    x = (x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)).bfloat16()
    for _ in range(steps):
        gram = x @ x.transpose(1, 2)
        x = a * x + (b * gram + c * gram @ gram) @ x
    out: Tensor = x.transpose(1, 2) if tall else x
    return out.float()


class Muon:
    """Momentum, orthogonalised; the update of a (rows, columns) matrix is scaled by sqrt(max(1, rows / columns))."""

    def __init__(self, weights: Iterable[nn.Parameter], momentum: float = 0.95, weight_decay: float = 0.02) -> None:
        self._groups: dict[torch.Size, list[nn.Parameter]] = defaultdict(list)
        for weight in weights:
            self._groups[weight.shape].append(weight)
        self._momentum = momentum
        self._weight_decay = weight_decay
        self._buffers = {
            shape: torch.zeros(len(group), *shape, device=group[0].device) for shape, group in self._groups.items()
        }

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Apply one update and drop the gradients."""
        for shape, group in self._groups.items():
            gradient = torch.stack([weight.grad for weight in group if weight.grad is not None])
            buffer = self._buffers[shape].mul_(self._momentum).add_(gradient, alpha=1 - self._momentum)
            update = orthogonalise(gradient.lerp(buffer, self._momentum)) * max(1.0, shape[0] / shape[1]) ** 0.5
            for weight, change in zip(group, update, strict=True):
                weight.mul_(1 - learning_rate * self._weight_decay).add_(change, alpha=-learning_rate)
                weight.grad = None
