"""Converts text to token ids and back. Decoding works on bytes, one token at a time, for streaming."""

from __future__ import annotations

import codecs
import json
from collections.abc import Collection, Sequence
from functools import lru_cache
from pathlib import Path

from tokenizers import Tokenizer as HfTokenizer

from gateway.embedded.model import ModelError


class Tokenizer:
    """The byte-level BPE tokenizer of a model folder. Raises ModelError if it cannot be read."""

    def __init__(self, folder: Path) -> None:
        path = folder / "tokenizer.json"
        try:
            self.content = path.read_text("utf-8")
            self._inner = HfTokenizer.from_str(self.content)
        except Exception as error:  # the tokenizers library raises plain Exception
            raise ModelError(f"{path}: {error}") from error
        added = json.loads(self.content)["added_tokens"]
        self.special_ids = frozenset(int(token["id"]) for token in added if token["special"])
        plain = {int(token["id"]): token["content"].encode() for token in added}
        table = _byte_of_character()
        self._bytes = {
            number: plain.get(number) or bytes(table[character] for character in token)
            for token, number in self._inner.get_vocab().items()
        }
        self.longest = max(map(len, self._bytes.values()))  # bytes of the longest token

    def encode(self, text: str) -> list[int]:
        return list(self._inner.encode(text, add_special_tokens=False).ids)

    def id_of(self, token: str) -> int | None:
        """The id of the token with exactly this text; None if there is none."""
        number = self._inner.token_to_id(token)
        return None if number is None else int(number)

    def token(self, number: int) -> str:
        """The vocabulary entry as the tokenizer writes it."""
        return str(self._inner.id_to_token(number))

    def bytes_of(self, number: int) -> bytes:
        """The bytes of one token; empty for ids that only the model has."""
        return self._bytes.get(number, b"")

    def text_of(self, number: int) -> str:
        """The text of a single token; incomplete UTF-8 becomes the replacement character."""
        return self.bytes_of(number).decode("utf-8", "replace")

    def decode(self, ids: Sequence[int], skip: Collection[int] = ()) -> str:
        return b"".join(self.bytes_of(number) for number in ids if number not in skip).decode("utf-8", "replace")


class Detokenizer:
    """Decodes a growing list of tokens: each call returns the new text that is complete."""

    def __init__(self, tokenizer: Tokenizer, skip: Collection[int]) -> None:
        self._tokenizer, self._skip = tokenizer, skip
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, number: int) -> str:
        if number in self._skip:
            return ""
        return self._decoder.decode(self._tokenizer.bytes_of(number))


@lru_cache(maxsize=1)
def _byte_of_character() -> dict[str, int]:
    """The alphabet of byte-level BPE: printable bytes map to themselves, the others to characters from 256 on."""
    printable = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    hidden = [byte for byte in range(256) if byte not in printable]
    table = {chr(byte): byte for byte in printable}
    return table | {chr(256 + index): byte for index, byte in enumerate(hidden)}
