"""The tokenizer: byte-level BPE with Qwen's pre-tokenisation (single digits), trained on text of the suite."""

from __future__ import annotations

import random
from collections.abc import Iterator

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from router_model.reasoner.template import SPECIAL_TOKENS, VISIBLE_TOKENS, chat_template, compile_template, render
from router_model.tasks import FAMILIES, draw

VOCABULARY = 1792
# Qwen's split: contractions, words with one leading sign or space, single digits, runs of signs, white space.
_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def sample_text(seed: int, n: int) -> Iterator[str]:
    """Rendered prompts with reasoning and answers; families alternate."""
    rng = random.Random(seed)
    template = compile_template(chat_template("tiny"))
    tasks = list(FAMILIES.values())
    for i in range(n):
        task = tasks[i % len(tasks)]
        prompt = draw(rng, task, rng.randint(1, task.levels), "train")
        yield f"{render(template, prompt.messages, prompt.tools)}<think>\n{prompt.thought}\n</think>\n\n{prompt.answer}"


def train_tokenizer(seed: int = 0, n: int = 20_000) -> Tokenizer:
    """Train on `n` rendered prompts; ids of the added tokens are the highest ones."""
    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(_SPLIT), behavior="isolated")
    bytes_only = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, bytes_only])
    tokenizer.decoder = decoders.ByteLevel()
    added = len(SPECIAL_TOKENS) + len(VISIBLE_TOKENS)
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - added, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(_without_added_tokens(sample_text(seed, n)), trainer)
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL_TOKENS])
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in VISIBLE_TOKENS])
    return tokenizer


def _without_added_tokens(texts: Iterator[str]) -> Iterator[str]:
    for text in texts:
        for token in SPECIAL_TOKENS + VISIBLE_TOKENS:
            text = text.replace(token, "\n")
        yield text
