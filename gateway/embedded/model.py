"""Reads a Qwen3 model folder in Hugging Face's layout, with NumPy alone."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
FILES = ("config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja")


class ModelError(Exception):
    """A model folder that cannot be served; the message names the file and the reason."""


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """The sizes of a Qwen3 decoder, named as in config.json."""

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


def check_folder(folder: Path) -> None:
    """Raises ModelError if a required file is missing."""
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise ModelError(f"no model in {folder}: {', '.join(missing)} missing")


def read_config(folder: Path) -> ModelConfig:
    """Raises ModelError if the architecture is not supported, or a value is missing."""
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


def read_weights(folder: Path) -> dict[str, Array]:
    """All tensors of the model as float32. Raises ModelError if the file is invalid."""
    path = folder / "model.safetensors"
    try:
        return read_safetensors(path)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{path}: not a readable safetensors file: {error}") from error


def read_safetensors(path: Path) -> dict[str, Array]:
    """All tensors of a safetensors file as float32. Raises ValueError, KeyError or OSError if it is invalid."""
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
