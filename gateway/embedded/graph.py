"""Builds the Qwen3 decoder as an ONNX model for ONNX Runtime's CPU kernels, from weights in memory.

Inputs: `ids` (rows, new); `last` (rows,), the position of each row's last new token; `total`, the length of the longest
row in tokens; and for each layer the cached keys and values (rows, kv_heads, capacity, dim), which are updated in place
if the outputs are bound to the same memory. Output: `logits` (rows, 1, vocab) after each row's last new token.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from gateway.embedded import onnx_format as onnx
from gateway.embedded.model import Array, ModelConfig

NORM = "SimplifiedLayerNormalization"


def decoder_model(config: ModelConfig, weights: Mapping[str, Array]) -> bytes:
    """The serialised ONNX model. Raises KeyError if a weight is missing."""
    return _Builder(config, weights).build()


class _Builder:
    def __init__(self, config: ModelConfig, weights: Mapping[str, Array]) -> None:
        self._config, self._weights = config, weights
        self._nodes: list[bytes] = []
        self._tensors: dict[str, onnx.Tensor] = {}
        self._inputs = [
            onnx.value("ids", onnx.INT64, ["rows", "new"]),
            onnx.value("last", onnx.INT32, ["rows"]),
            onnx.value("total", onnx.INT32, []),
        ]
        self._outputs = [onnx.value("logits", onnx.FLOAT, ["rows", 1, config.vocab_size])]

    def build(self) -> bytes:
        embedding = self._weights["model.embed_tokens.weight"]
        head = self._weights.get("lm_head.weight", embedding)
        self._tensors |= _rotations(self._config)
        self._tensors["per_head"] = np.array([0, 0, -1, self._config.head_dim])
        self._tensors["together"] = np.array([0, 0, -1])
        states, update = self._op("Gather", self._keep("embedding", embedding), "ids"), ""
        for index in range(self._config.num_hidden_layers):
            states, update = self._layer(index, states, update)
        _, normed = self._add_and_norm(states, update, "model.norm")
        end = self._op("Slice", normed, self._keep("minus_one", np.array([-1])), self._keep("far", np.array([2**31])),
                       self._keep("axis", np.array([1])))  # fmt: skip
        self._add("MatMul", [end, self._keep("head", _transposed(head))], ["logits"])
        return onnx.model(onnx.graph(self._nodes, self._tensors, self._inputs, self._outputs))

    def _layer(self, index: int, states: str, update: str) -> tuple[str, str]:
        """Takes and returns the residual stream, and the update that is to be added to it."""
        layer = f"model.layers.{index}"
        states, normed = self._add_and_norm(states, update, f"{layer}.input_layernorm")
        attended = self._attention(index, *self._project(layer, normed))
        update = self._matmul(attended, f"{layer}.self_attn.o_proj")
        states, normed = self._add_and_norm(states, update, f"{layer}.post_attention_layernorm")
        gate = self._op("QuickGelu", self._matmul(normed, f"{layer}.mlp.gate_proj"), domain=onnx.CONTRIB, alpha=1.0)
        gated = self._op("Mul", gate, self._matmul(normed, f"{layer}.mlp.up_proj"))
        return states, self._matmul(gated, f"{layer}.mlp.down_proj")

    def _project(self, layer: str, normed: str) -> tuple[str, str, str]:
        """Queries, keys and values from one matrix product; queries and keys are normalised per head."""
        config, attention = self._config, f"{layer}.self_attn"
        parts = [self._weights[f"{attention}.{name}_proj.weight"] for name in "qkv"]
        product = self._op("MatMul", normed, self._keep(f"{attention}.qkv", _transposed(np.concatenate(parts))))
        heads = (config.num_attention_heads, config.num_key_value_heads, config.num_key_value_heads)
        sizes = self._keep("qkv_sizes", np.array([count * config.head_dim for count in heads]))
        queries, keys, values = (f"{attention}.{name}" for name in ("queries", "keys", "values"))
        self._add("Split", [product, sizes], [queries, keys, values], axis=-1)
        normed_queries, normed_keys = (
            self._op("Reshape", self._norm(self._op("Reshape", part, "per_head"), f"{attention}.{name}"), "together")
            for part, name in ((queries, "q_norm"), (keys, "k_norm"))
        )
        return normed_queries, normed_keys, values

    def _attention(self, index: int, queries: str, keys: str, values: str) -> str:
        """Rotary embedding, cache update, causal mask and grouped heads in one operator."""
        config = self._config
        cached, updated = cache_names(index), [f"new_{name}" for name in cache_names(index)]
        shape: list[onnx.Dimension] = ["rows", config.num_key_value_heads, "capacity", config.head_dim]
        self._inputs += [onnx.value(name, onnx.FLOAT, shape) for name in cached]
        self._outputs += [onnx.value(name, onnx.FLOAT, shape) for name in updated]
        attended = f"attended.{index}"
        inputs = [queries, keys, values, *cached, "last", "total", "cos", "sin"]
        counts = {"num_heads": config.num_attention_heads, "kv_num_heads": config.num_key_value_heads}
        self._add("GroupQueryAttention", inputs, [attended, *updated], onnx.CONTRIB, do_rotary=1, **counts)
        return attended

    def _add_and_norm(self, states: str, update: str, norm: str) -> tuple[str, str]:
        """`states` plus `update`, and the normalised sum."""
        if not update:
            return states, self._norm(states, norm)
        total, normed = f"{norm}.sum", f"{norm}.normed"
        scale = self._keep(norm, self._weights[f"{norm}.weight"])
        kind, epsilon = f"Skip{NORM}", self._config.rms_norm_eps
        self._add(kind, [update, states, scale], [normed, "", "", total], onnx.CONTRIB, epsilon=epsilon)
        return total, normed

    def _norm(self, states: str, norm: str) -> str:
        scale = self._keep(norm, self._weights[f"{norm}.weight"])
        return self._op(NORM, states, scale, axis=-1, epsilon=self._config.rms_norm_eps)

    def _matmul(self, states: str, name: str) -> str:
        return self._op("MatMul", states, self._keep(name, _transposed(self._weights[f"{name}.weight"])))

    def _op(self, kind: str, *inputs: str, domain: str = "", **attributes: float | int) -> str:
        output = f"{kind}.{len(self._nodes)}"
        self._add(kind, list(inputs), [output], domain, **attributes)
        return output

    def _add(
        self, kind: str, inputs: list[str], outputs: list[str], domain: str = "", **attributes: float | int
    ) -> None:
        self._nodes.append(onnx.node(kind, inputs, outputs, domain, **attributes))

    def _keep(self, name: str, values: onnx.Tensor) -> str:
        self._tensors[name] = values
        return name


def cache_names(index: int) -> tuple[str, str]:
    """The names of a layer's cached keys and values; those of the updated ones begin with `new_`."""
    return f"keys.{index}", f"values.{index}"


def _rotations(config: ModelConfig) -> dict[str, onnx.Tensor]:
    """Cosines and sines of the rotary embedding, (positions, dim / 2)."""
    half = config.head_dim // 2
    frequencies = config.rope_theta ** (-np.arange(half) / half)
    angles = np.arange(config.max_position_embeddings)[:, None] * frequencies
    return {"cos": np.cos(angles).astype(np.float32), "sin": np.sin(angles).astype(np.float32)}


def _transposed(matrix: Array) -> Array:
    return np.ascontiguousarray(matrix.T)
