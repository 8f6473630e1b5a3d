"""The word that tells tables of settings apart."""

from __future__ import annotations

from typing import Any, get_args

from pydantic import BaseModel


def kind_of(settings: type[BaseModel]) -> str:
    """The word that names a kind in the configuration. ValueError: its settings have no `kind` that is a literal."""
    field = settings.model_fields.get("kind")
    words: tuple[Any, ...] = get_args(field.annotation) if field else ()
    if len(words) != 1 or not isinstance(words[0], str):
        raise ValueError(f"{settings.__name__} needs a field `kind: Literal[...]` of one word")
    return words[0]
