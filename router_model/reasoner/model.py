"""A small Qwen3 decoder: grouped-query attention with QK norm, rotary positions, SwiGLU, tied embeddings.

The architecture: "Qwen3 Technical Report" (Qwen Team, 2025, arXiv:2505.09388). Parameter names are those of
`Qwen3ForCausalLM`, so that the state dict is the checkpoint. Attention is written out: on a CPU the fused kernel's
backward pass is several times slower at these sizes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from router_model.reasoner.data import Batch


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of the architecture, with the names of Qwen3's configuration."""

    vocab_size: int
    hidden_size: int = 128
    num_hidden_layers: int = 6
    num_attention_heads: int = 4
    num_key_value_heads: int = 2
    head_dim: int = 32
    intermediate_size: int = 384
    rope_theta: float = 10_000.0
    rms_norm_eps: float = 1e-6
    max_position_embeddings: int = 2048


class RMSNorm(nn.Module):
    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return functional.rms_norm(x, self.weight.shape, self.weight.to(x.dtype), self.eps)


class Projection(nn.Linear):
    """A linear map without bias, with a float32 weight and the product in the input's precision."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.weight.to(x.dtype))


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    left, right = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-right, left), dim=-1) * sin


class Attention(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.head_dim = shape.num_attention_heads, shape.num_key_value_heads, shape.head_dim
        self.q_proj = Projection(shape.hidden_size, self.heads * self.head_dim)
        self.k_proj = Projection(shape.hidden_size, self.kv_heads * self.head_dim)
        self.v_proj = Projection(shape.hidden_size, self.kv_heads * self.head_dim)
        self.o_proj = Projection(self.heads * self.head_dim, shape.hidden_size)
        self.q_norm = RMSNorm(self.head_dim, shape.rms_norm_eps)
        self.k_norm = RMSNorm(self.head_dim, shape.rms_norm_eps)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor) -> Tensor:
        rows, length, _ = x.shape
        q = self.q_norm(self.q_proj(x).view(rows, length, self.heads, self.head_dim)).transpose(1, 2)
        k = self.k_norm(self.k_proj(x).view(rows, length, self.kv_heads, self.head_dim)).transpose(1, 2)
        v = self.v_proj(x).view(rows, length, self.kv_heads, self.head_dim).transpose(1, 2)
        q, k = _rotate(q, cos, sin), _rotate(k, cos, sin)
        group = self.heads // self.kv_heads
        q = q.reshape(rows, self.kv_heads, group * length, self.head_dim)
        q = q * self.head_dim**-0.5
        scores = (q @ k.transpose(-1, -2)).view(rows, self.heads, length, length) + mask
        mixed = scores.softmax(-1).view(rows, self.kv_heads, group * length, length) @ v
        mixed = mixed.view(rows, self.heads, length, self.head_dim).transpose(1, 2).reshape(rows, length, -1)
        out: Tensor = self.o_proj(mixed)
        return out


class MLP(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gate_proj = Projection(shape.hidden_size, shape.intermediate_size)
        self.up_proj = Projection(shape.hidden_size, shape.intermediate_size)
        self.down_proj = Projection(shape.intermediate_size, shape.hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))
        return out


class Layer(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.self_attn = Attention(shape)
        self.mlp = MLP(shape)
        self.input_layernorm = RMSNorm(shape.hidden_size, shape.rms_norm_eps)
        self.post_attention_layernorm = RMSNorm(shape.hidden_size, shape.rms_norm_eps)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, mask)
        out: Tensor = x + self.mlp(self.post_attention_layernorm(x))
        return out


class Reasoner(nn.Module):
    """Maps token ids (rows, length) to hidden states."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embed_tokens = nn.Embedding(shape.vocab_size, shape.hidden_size)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.num_hidden_layers))
        self.norm = RMSNorm(shape.hidden_size, shape.rms_norm_eps)
        self._initialise()

    def _initialise(self) -> None:
        nn.init.normal_(self.embed_tokens.weight, std=0.02)
        for name, weight in self.named_parameters():
            if weight.ndim == 2 and "embed" not in name:
                nn.init.normal_(weight, std=weight.shape[1] ** -0.5)
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                nn.init.zeros_(weight)

    def forward(self, ids: Tensor, positions: Tensor, mask: Tensor) -> Tensor:
        """Hidden states (rows, length, hidden) of `ids`; `mask` (rows, length, length): True where attention is
        allowed.
        """
        steps = torch.arange(0, self.shape.head_dim, 2, device=ids.device)
        frequencies = self.shape.rope_theta ** (-steps / self.shape.head_dim)
        angles = positions[:, None, :, None] * frequencies
        angles = torch.cat((angles, angles), dim=-1)
        cos, sin = angles.cos().bfloat16(), angles.sin().bfloat16()
        bias = torch.zeros_like(mask, dtype=torch.bfloat16).masked_fill_(~mask, float("-inf"))[:, None]
        x = self.embed_tokens(ids).bfloat16()
        for layer in self.layers:
            x = layer(x, cos, sin, bias)
        out: Tensor = self.norm(x)
        return out

    def loss(self, batch: Batch) -> Tensor:
        """Mean weighted cross entropy. Logits are only computed for positions with a weight, which excludes prompts."""
        device = self.embed_tokens.weight.device
        ids, weights, positions, mask = (
            torch.from_numpy(array).to(device) for array in (batch.ids, batch.weights, batch.positions, batch.mask)
        )
        hidden = self(ids[:, :-1], positions[:, :-1], mask[:, :-1, :-1])
        targets, target_weights = ids[:, 1:].reshape(-1), weights[:, 1:].reshape(-1)
        chosen = target_weights.nonzero().squeeze(1)
        logits = functional.linear(hidden.reshape(-1, hidden.shape[-1])[chosen], self.embed_tokens.weight.bfloat16())
        losses = functional.cross_entropy(logits.float(), targets[chosen], reduction="none")
        picked = target_weights[chosen]
        return (losses * picked).sum() / picked.sum()
