"""The file of an outcome table: Parquet, with its required columns and their types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from router_model.data.outcomes import OutcomeError
from router_model.model.probe import PROBE_COLUMNS

TEXT, NUMBER, FLAG = "text", "a number", "true or false"
# The columns of every table and, behind them, what else means something: `router_model.data.outcome_reader` says what.
NEEDED: Mapping[str, str] = {
    "dataset": TEXT,
    "prompt_id": TEXT,
    "prompt": TEXT,
    "family": TEXT,
    "model": TEXT,
    "mode": TEXT,
    "budget": NUMBER,
    "correct": NUMBER,
    "n_samples": NUMBER,
    "completion_tokens": NUMBER,
    "thinking_tokens": NUMBER,
    "latency_s": NUMBER,
}
NEVER_NULL = ("dataset", "prompt_id", "prompt", "model", "mode", "correct")
FURTHER: Mapping[str, str] = {
    "tools": TEXT,
    "task": TEXT,
    "phrasing": TEXT,
    "router_split": TEXT,
    "tokens_source": TEXT,
    **{name: FLAG if name == "probe_truncated" else NUMBER for name in PROBE_COLUMNS},
}


def rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a table, with the columns that mean something. OutcomeError: it is none, or one of another shape."""
    try:
        with pq.ParquetFile(path) as file:
            _check(path, file.schema_arrow)
            kept = [name for name in (*NEEDED, *FURTHER) if name in file.schema_arrow.names]
            table = file.read(columns=kept).select(kept)
        for name in NEVER_NULL:
            if table[name].null_count:
                raise OutcomeError(f"{path}: column {name} has {table[name].null_count} nulls; every row needs one")
        found: list[dict[str, Any]] = table.to_pylist()
    except FileNotFoundError:
        raise OutcomeError(f"{path}: no such file") from None
    # pyarrow has several ways to say that bytes are not what they should be, none of which are for our readers.
    except (pa.ArrowException, OSError, UnicodeDecodeError, OverflowError) as error:
        said = str(error).strip() or type(error).__name__
        raise OutcomeError(f"{path}: not a readable Parquet file ({said.splitlines()[0]})") from None
    return found


def _check(path: Path, schema: pa.Schema) -> None:
    names = schema.names
    missing = [name for name in NEEDED if name not in names]
    if missing:
        raise OutcomeError(f"{path}: missing column{'s' if len(missing) > 1 else ''} {', '.join(missing)}")
    twice = sorted({name for name in names if names.count(name) > 1} & {*NEEDED, *FURTHER})
    if twice:
        raise OutcomeError(f"{path}: two columns are called {twice[0]}")
    wrong = [
        f"column {name} holds {schema.field(name).type}, where it must be {kind}"
        for name, kind in {**NEEDED, **FURTHER}.items()
        if name in names and not any(_is(schema.field(name).type, kind))
    ]
    if wrong:
        raise OutcomeError(f"{path}: {'; '.join(wrong)}")


def _is(found: pa.DataType, kind: str) -> Iterator[bool]:
    """Whether a column's type is of a kind; one that is null throughout may be anything."""
    if pa.types.is_dictionary(found):
        found = found.value_type
    yield pa.types.is_null(found)
    if kind == TEXT:
        yield pa.types.is_string(found) or pa.types.is_large_string(found)
    else:
        # A single sample is right or not: true and false are as good as 1 and 0.
        yield pa.types.is_boolean(found)
        yield kind == NUMBER and (pa.types.is_integer(found) or pa.types.is_floating(found))
