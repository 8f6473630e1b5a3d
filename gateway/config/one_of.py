"""A union of tables, discriminated by `kind`, whose members may be registered at run time."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, Union

from pydantic import BaseModel, Field, GetCoreSchemaHandler, TypeAdapter, ValidationInfo
from pydantic_core import CoreSchema, core_schema


class OneOf:
    """An annotation: the value is one of the tables in `kinds`, looked up when it is validated."""

    def __init__(self, kinds: Mapping[str, type[BaseModel]]) -> None:
        self._kinds = kinds

    def union(self) -> Any:
        return _union(tuple(self._kinds.values()))

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(self._validate)

    def _validate(self, value: Any, info: ValidationInfo) -> Any:
        return _adapter(tuple(self._kinds.values())).validate_python(value, context=info.context)


def _union(tables: tuple[type[BaseModel], ...]) -> Any:
    return Annotated[Union[tables], Field(discriminator="kind")]  # noqa: UP007 - created at run time


@lru_cache(8)
def _adapter(tables: tuple[type[BaseModel], ...]) -> TypeAdapter[Any]:
    return TypeAdapter(_union(tables))
