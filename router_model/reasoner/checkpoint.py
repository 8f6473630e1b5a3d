"""Model folders in Hugging Face's layout, so that transformers and vLLM load them like any Qwen3."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from router_model.reasoner.model import Reasoner
from router_model.reasoner.template import SPECIAL_TOKENS, VISIBLE_TOKENS, ModelName, chat_template

_END, _TURN_END = "<|endoftext|>", "<|im_end|>"


def save_folder(reasoner: Reasoner, tokenizer: Tokenizer, model: ModelName, folder: Path) -> None:
    """Write config, bfloat16 weights, tokenizer, chat template and generation defaults."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = reasoner.state_dict().items()
    state = {f"model.{name}": value.to("cpu", torch.bfloat16).contiguous() for name, value in weights}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer.save(str(folder / "tokenizer.json"))
    vocabulary = tokenizer.get_vocab()
    ids = {token: vocabulary[token] for token in SPECIAL_TOKENS + VISIBLE_TOKENS}
    _write(folder / "config.json", _config(reasoner, ids))
    _write(folder / "tokenizer_config.json", _tokenizer_config(ids))
    _write(
        folder / "generation_config.json",
        {"do_sample": False, "temperature": 0.0, "eos_token_id": ids[_TURN_END], "pad_token_id": ids[_END]},
    )
    (folder / "chat_template.jinja").write_text(chat_template(model), encoding="utf-8")


def load_weights(reasoner: Reasoner, folder: Path) -> None:
    """Load a saved folder's weights into a model of the same shape."""
    state = load_file(folder / "model.safetensors")
    reasoner.load_state_dict({name.removeprefix("model."): value.float() for name, value in state.items()})


def _write(path: Path, content: dict[str, object]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _config(reasoner: Reasoner, ids: dict[str, int]) -> dict[str, object]:
    shape = asdict(reasoner.shape)
    return {
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        **shape,
        "hidden_act": "silu",
        "attention_bias": False,
        "attention_dropout": 0.0,
        "tie_word_embeddings": True,
        "use_sliding_window": False,
        "torch_dtype": "bfloat16",
        "bos_token_id": None,
        "eos_token_id": ids[_TURN_END],
        "pad_token_id": ids[_END],
    }


def _tokenizer_config(ids: dict[str, int]) -> dict[str, object]:
    added = {
        str(number): {
            "content": token,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "single_word": False,
            "special": token in SPECIAL_TOKENS,
        }
        for token, number in ids.items()
    }
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "added_tokens_decoder": added,
        "eos_token": _TURN_END,
        "pad_token": _END,
        "model_max_length": 2048,
        "clean_up_tokenization_spaces": False,
    }
