"""Loads the models that an engine serves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.embedded.chat_template import ChatTemplate
from gateway.embedded.constraint import Grammars
from gateway.embedded.decoder import Decoder
from gateway.embedded.graph import decoder_model
from gateway.embedded.model import ModelConfig, ModelError, check_folder, read_config, read_json, read_weights
from gateway.embedded.tokenizer import Tokenizer

WEIGHTS = Path(__file__).parent / "weights"
# The folders that are served, each under its own name, and whether reasoning is parsed from the output, as with vLLM's
# `--reasoning-parser qwen3`.
REASONING = {"tiny": True, "tiny-instruct": False, "tiny-thinking": True}
THINK = ("<think>", "</think>")


@dataclass(frozen=True, slots=True)
class ThoughtMarks:
    """Special token ids. `think` are those of <think> and </think>; None: the model does not think."""

    eos: frozenset[int]
    think: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Served:
    """One model. `defaults` are the sampling parameters of its generation_config.json."""

    name: str
    folder: Path
    config: ModelConfig
    tokenizer: Tokenizer
    template: ChatTemplate
    marks: ThoughtMarks
    defaults: Mapping[str, Any]
    grammars: Grammars
    decoder: Decoder

    @property
    def reasons(self) -> bool:
        return self.marks.think is not None

    @property
    def context(self) -> int:
        """The maximum number of tokens of a prompt and its answer together."""
        return self.config.max_position_embeddings


def load_all(weights: Path, max_batch: int) -> dict[str, Served]:
    """Every model of REASONING that is in `weights`. Raises ModelError if one is invalid, or there is none."""
    present = [name for name in REASONING if (weights / name).is_dir()]
    if not present:
        raise ModelError(f"no weights in {weights}: expected the folders {', '.join(REASONING)}")
    return {name: load(name, weights / name, max_batch) for name in present}


def load(name: str, folder: Path, max_batch: int) -> Served:
    """Raises ModelError if the folder cannot be served."""
    check_folder(folder)
    config, tokenizer = read_config(folder), Tokenizer(folder)
    generation = read_json(folder / "generation_config.json")
    decoder = _decoder(config, folder, max_batch)
    marks = ThoughtMarks(_eos(generation, folder), _think(tokenizer, folder) if REASONING.get(name, True) else None)
    grammars = Grammars(tokenizer.content, config.vocab_size, sorted(marks.eos))
    template, defaults = ChatTemplate(folder), _defaults(generation)
    return Served(name, folder, config, tokenizer, template, marks, defaults, grammars, decoder)


def _decoder(config: ModelConfig, folder: Path, max_batch: int) -> Decoder:
    try:
        return Decoder(config, decoder_model(config, read_weights(folder)), max_batch)
    except KeyError as error:
        raise ModelError(f"{folder / 'model.safetensors'}: {error.args[0]} is missing") from error
    except ValueError as error:
        raise ModelError(f"{folder / 'model.safetensors'}: does not fit config.json: {error}") from error


def _defaults(generation: Mapping[str, Any]) -> dict[str, Any]:
    known = ("repetition_penalty", "temperature", "top_k", "top_p", "min_p", "max_new_tokens")
    return {name: generation[name] for name in known if generation.get(name) is not None}


def _eos(generation: Mapping[str, Any], folder: Path) -> frozenset[int]:
    eos = generation.get("eos_token_id")
    ids: Sequence[int] = eos if isinstance(eos, list) else [] if eos is None else [eos]
    if not ids:
        raise ModelError(f"{folder / 'generation_config.json'}: eos_token_id is missing")
    return frozenset(ids)


def _think(tokenizer: Tokenizer, folder: Path) -> tuple[int, int]:
    start, end = (tokenizer.id_of(token) for token in THINK)
    if start is None or end is None:
        raise ModelError(f"{folder / 'tokenizer.json'}: no tokens {' and '.join(THINK)}")
    return start, end
