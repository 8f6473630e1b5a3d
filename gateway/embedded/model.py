"""A Qwen3 model folder as Hugging Face lays it out, read with nothing but NumPy."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
FILES = ("config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja")


class ModelError(Exception):
    """A model folder that cannot be served; the message says which file and why."""


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """The shape of a Qwen3 decoder: counts and sizes, in the words of its config.json."""

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    intermediate_size: int
    rope_theta: float
    rms_norm_eps: float
    max_position_embeddings: int


@dataclass(frozen=True, slots=True)
class Layer:
    """One decoder layer. Matrices are (in, out); those that share an input are one; norms before them are folded in."""

    qkv: Array  # (hidden, (heads + 2 kv_heads) * head_dim)
    qk_norm: Array  # (heads + kv_heads, head_dim); the queries' rows carry the attention scale as well
    out: Array  # (heads * head_dim, hidden)
    gate_up: Array  # (hidden, 2 * intermediate)
    down: Array  # (intermediate, hidden)


@dataclass(frozen=True, slots=True)
class Weights:
    embedding: Array  # (vocab, hidden)
    layers: tuple[Layer, ...]
    head: Array  # (hidden, vocab), with the last norm folded in


def check_folder(folder: Path) -> None:
    """Raises ModelError when a file that serving needs is not there."""
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise ModelError(f"no model in {folder}: {', '.join(missing)} missing")


def read_config(folder: Path) -> ModelConfig:
    """Raises ModelError for another architecture, or one that this decoder does not know."""
    config = read_json(folder / "config.json")
    if config.get("architectures") != ["Qwen3ForCausalLM"] or config.get("attention_bias"):
        raise ModelError(f"{folder / 'config.json'}: only Qwen3ForCausalLM without attention bias is supported")
    try:
        theta = config.get("rope_theta") or config["rope_parameters"]["rope_theta"]
        names = [name for name in ModelConfig.__dataclass_fields__ if name != "rope_theta"]
        return ModelConfig(rope_theta=float(theta), **{name: config[name] for name in names})
    except KeyError as error:
        raise ModelError(f"{folder / 'config.json'}: {error.args[0]} is missing") from error


def read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: {error}") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path}: not a JSON object")
    return content


def read_weights(folder: Path, config: ModelConfig) -> Weights:
    """Raises ModelError when the file is broken or its tensors do not fit the configuration."""
    path = folder / "model.safetensors"
    try:
        tensors = read_safetensors(path)
        layers = tuple(_layer(tensors, index, config) for index in range(config.num_hidden_layers))
        embedding = tensors["model.embed_tokens.weight"]
        head = tensors.get("lm_head.weight", embedding)
        return Weights(embedding, layers, _fold(tensors["model.norm.weight"], head))
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{path}: {error}") from error


def read_safetensors(path: Path) -> dict[str, Array]:
    """All tensors of a safetensors file as float32. Raises ValueError, KeyError, OSError for what is not one."""
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    return {
        name: _tensor(data[start + entry["data_offsets"][0] : start + entry["data_offsets"][1]], entry)
        for name, entry in header.items()
        if name != "__metadata__"
    }


def _tensor(data: bytes, entry: dict[str, Any]) -> Array:
    if entry["dtype"] == "BF16":  # a bfloat16 is the upper half of a float32
        values = (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)
    elif entry["dtype"] in ("F32", "F16"):
        values = np.frombuffer(data, "<f4" if entry["dtype"] == "F32" else "<f2").astype(np.float32)
    else:
        raise ValueError(f"tensors of type {entry['dtype']} are not supported")
    return values.reshape(entry["shape"])


def _layer(tensors: dict[str, Array], index: int, config: ModelConfig) -> Layer:
    def get(name: str) -> Array:
        return tensors[f"model.layers.{index}.{name}.weight"]

    before_attention, before_mlp = get("input_layernorm"), get("post_attention_layernorm")
    qkv = np.concatenate([get(f"self_attn.{name}_proj") for name in "qkv"])
    gate_up = np.concatenate([get("mlp.gate_proj"), get("mlp.up_proj")])
    scale = 1.0 / math.sqrt(config.head_dim)
    queries = np.repeat(get("self_attn.q_norm")[None] * scale, config.num_attention_heads, axis=0)
    keys = np.repeat(get("self_attn.k_norm")[None], config.num_key_value_heads, axis=0)
    return Layer(
        qkv=_fold(before_attention, qkv),
        qk_norm=np.concatenate([queries, keys]).astype(np.float32),
        out=_transposed(get("self_attn.o_proj")),
        gate_up=_fold(before_mlp, gate_up),
        down=_transposed(get("mlp.down_proj")),
    )


def _fold(norm: Array, matrix: Array) -> Array:
    """`matrix` (out, in) as (in, out), taking over the scale of the norm before it."""
    return np.ascontiguousarray((matrix * norm).T)


def _transposed(matrix: Array) -> Array:
    return np.ascontiguousarray(matrix.T)
