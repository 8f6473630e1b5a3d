"""The Qwen3 forward pass in NumPy: one prompt at a time to fill the cache, then all rows one token at a time.

Rows are kept dense (0 … n-1), so every step works on plain slices of the cache; the last row takes the place of one
that leaves.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gateway.embedded.model import Array, Layer, ModelConfig, Weights

Ids = npt.NDArray[np.int64]
FIRST_CAPACITY = 256  # tokens per row that the cache starts with; it doubles when a row needs more


class Decoder:
    """Not safe for threads. `staging` is the row that prompts are read into before they join the batch."""

    def __init__(self, config: ModelConfig, weights: Weights, max_rows: int) -> None:
        self._config, self._weights = config, weights
        self.max_rows, self.rows = max_rows, 0
        self._staging = max_rows
        self._capacity = min(FIRST_CAPACITY, config.max_position_embeddings)
        self._keys, self._values = self._new_cache(), self._new_cache()
        self._cos, self._sin = _rotations(config)

    def prefill(self, ids: Ids, start: int) -> Array:
        """Read `ids` (tokens,) at positions `start`… into the staging row; logits (vocab,) after the last of them."""
        end = start + len(ids)
        self._reserve(end)
        states = self._weights.embedding[ids]
        cos, sin = self._cos[start:end, None], self._sin[start:end, None]
        hidden_from_future = np.triu(np.full((len(ids), end), -np.inf, np.float32), k=start + 1)
        for index, layer in enumerate(self._weights.layers):
            queries, keys, values = self._project(layer, states, cos, sin)
            self._keys[index, self._staging, :, start:end] = keys.swapaxes(0, 1)
            self._values[index, self._staging, :, start:end] = values.swapaxes(0, 1)
            mixed = self._attend_prompt(index, queries, end, hidden_from_future)
            states = _feed_forward(layer, states + mixed @ layer.out, self._config.rms_norm_eps)
        last: Array = _normed(states[-1:], self._config.rms_norm_eps)
        logits: Array = (last @ self._weights.head)[0]
        return logits

    def admit(self, length: int) -> int:
        """Copy the first `length` tokens of the staging row into a new row; returns the row."""
        row = self.rows
        self._copy(self._staging, row, length)
        self.rows += 1
        return row

    def leave(self, row: int, length_of_last: int) -> None:
        """Give up `row`; the last row, which holds `length_of_last` tokens, takes its place."""
        self.rows -= 1
        if row != self.rows:
            self._copy(self.rows, row, length_of_last)

    def step(self, ids: Ids, positions: Ids) -> Array:
        """Append one token to every row: `ids` and `positions` (rows,); logits (rows, vocab)."""
        rows, end = len(ids), int(positions.max()) + 1
        self._reserve(end)
        states = self._weights.embedding[ids]
        cos, sin = self._cos[positions, None], self._sin[positions, None]
        beyond = np.arange(end) > positions[:, None]
        bias = np.where(beyond, np.float32(-np.inf), np.float32(0.0))[:, None, None]
        every = np.arange(rows)
        for index, layer in enumerate(self._weights.layers):
            queries, keys, values = self._project(layer, states, cos, sin)
            self._keys[index, every, :, positions] = keys
            self._values[index, every, :, positions] = values
            mixed = self._attend_rows(index, queries, end, bias)
            states = _feed_forward(layer, states + mixed @ layer.out, self._config.rms_norm_eps)
        logits: Array = _normed(states, self._config.rms_norm_eps) @ self._weights.head
        return logits

    def _project(self, layer: Layer, states: Array, cos: Array, sin: Array) -> tuple[Array, Array, Array]:
        """Queries (n, heads, dim), keys and values (n, kv_heads, dim): normed, rotated, queries scaled."""
        config = self._config
        heads, kv_heads, half = config.num_attention_heads, config.num_key_value_heads, config.head_dim // 2
        mixed = _normed(states, config.rms_norm_eps) @ layer.qkv
        mixed = mixed.reshape(len(states), heads + 2 * kv_heads, config.head_dim)
        turning = _normed(mixed[:, : heads + kv_heads], config.rms_norm_eps) * layer.qk_norm
        turned = turning * cos
        turned[..., :half] -= turning[..., half:] * sin
        turned[..., half:] += turning[..., :half] * sin
        return turned[:, :heads], turned[:, heads:], mixed[:, heads + kv_heads :]

    def _attend_prompt(self, index: int, queries: Array, end: int, bias: Array) -> Array:
        """Attention of the staging row's new tokens, (tokens, heads * dim)."""
        config, tokens = self._config, len(queries)
        grouped = queries.reshape(tokens, config.num_key_value_heads, -1, config.head_dim).transpose(1, 2, 0, 3)
        keys = self._keys[index, self._staging, :, None, :end]
        values = self._values[index, self._staging, :, None, :end]
        mixed = _softmax(grouped @ keys.swapaxes(2, 3) + bias) @ values
        return mixed.transpose(2, 0, 1, 3).reshape(tokens, -1)

    def _attend_rows(self, index: int, queries: Array, end: int, bias: Array) -> Array:
        """Attention of one new token per row, (rows, heads * dim)."""
        rows, config = len(queries), self._config
        grouped = queries.reshape(rows, config.num_key_value_heads, -1, config.head_dim)
        keys, values = self._keys[index, :rows, :, :end], self._values[index, :rows, :, :end]
        mixed = _softmax(grouped @ keys.swapaxes(2, 3) + bias) @ values
        return mixed.reshape(rows, -1)

    def _copy(self, source: int, target: int, length: int) -> None:
        for cache in (self._keys, self._values):
            cache[:, target, :, :length] = cache[:, source, :, :length]

    def _reserve(self, tokens: int) -> None:
        """Make room for `tokens` in every row."""
        if tokens <= self._capacity:
            return
        old_keys, old_values, old = self._keys, self._values, self._capacity
        while self._capacity < tokens:
            self._capacity = min(2 * self._capacity, self._config.max_position_embeddings)
        self._keys, self._values = self._new_cache(), self._new_cache()
        self._keys[:, :, :, :old], self._values[:, :, :, :old] = old_keys, old_values

    def _new_cache(self) -> Array:
        """(layers, rows + staging, kv_heads, tokens, dim); pages that nothing was written to cost no memory."""
        c = self._config
        shape = (c.num_hidden_layers, self.max_rows + 1, c.num_key_value_heads, self._capacity, c.head_dim)
        return np.zeros(shape, np.float32)


def _rotations(config: ModelConfig) -> tuple[Array, Array]:
    """Cosines (positions, dim) and sines (positions, dim / 2) of the rotary embedding."""
    half = config.head_dim // 2
    frequencies = config.rope_theta ** (-np.arange(half) / half)
    angles = np.arange(config.max_position_embeddings)[:, None] * frequencies
    cos = np.cos(angles).astype(np.float32)
    return np.concatenate([cos, cos], axis=1), np.sin(angles).astype(np.float32)


def _normed(states: Array, eps: float) -> Array:
    """RMS norm over the last axis, without its scale (which is folded into what follows)."""
    squares = np.einsum("...i,...i->...", states, states)
    scale = np.float32(1.0) / np.sqrt(squares / np.float32(states.shape[-1]) + np.float32(eps))
    normed: Array = states * scale[..., None]
    return normed


def _feed_forward(layer: Layer, states: Array, eps: float) -> Array:
    mixed = _normed(states, eps) @ layer.gate_up
    gate, up = np.split(mixed, 2, axis=-1)
    with np.errstate(over="ignore"):  # a very negative gate is shut: x / inf = 0
        gated = gate * up / (np.float32(1.0) + np.exp(-gate))
    result: Array = states + gated @ layer.down
    return result


def _softmax(scores: Array) -> Array:
    """Over the last axis, in place."""
    scores -= scores.max(axis=-1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=-1, keepdims=True)
    return scores
