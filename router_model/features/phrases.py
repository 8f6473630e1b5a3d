"""The lists of `wrapping.toml` and `replies.toml`, read once when they are first needed."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Wrapping:
    """What clients put around a person's words; the file says what each list means."""

    asks: frozenset[str]
    orders: frozenset[str]
    items: frozenset[str]
    client_words: frozenset[str]
    client_parts: frozenset[str]
    material_words: frozenset[str]
    labels: frozenset[str]
    speakers: frozenset[str]
    second_speakers: frozenset[str]
    heading_words: frozenset[str]
    answers: frozenset[str]
    instruction_files: frozenset[str]
    client_openings: tuple[str, ...]
    result_openings: tuple[str, ...]
    stamps: tuple[str, ...]
    mail_marks: tuple[str, ...]
    mail_verbs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Replies:
    """Words of short replies that approve or continue; the file says what each list means."""

    yes: frozenset[str]
    with_yes: frozenset[str]
    mild: frozenset[str]
    signs: frozenset[str]
    starts: tuple[str, ...]
    mild_starts: tuple[str, ...]
    offers: tuple[str, ...]


@cache
def wrapping() -> Wrapping:
    return Wrapping(**_lists("wrapping.toml", Wrapping))


@cache
def replies() -> Replies:
    return Replies(**_lists("replies.toml", Replies))


def _lists(name: str, kind: type[Wrapping] | type[Replies]) -> dict[str, Any]:
    table = tomllib.loads((Path(__file__).parent / name).read_text("utf-8"))
    sets = {field.name for field in fields(kind) if str(field.type).startswith("frozenset")}
    return {key: frozenset(words) if key in sets else tuple(words) for key, words in table.items()}
