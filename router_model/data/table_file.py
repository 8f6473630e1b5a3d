"""The file of an outcome table: Parquet, with its required columns and their types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from router_model.data import output_files
from router_model.data.outcomes import OutcomeError
from router_model.model.probe import PROBE_COLUMNS

TEXT, NUMBER, FLAG = "text", "a number", "true or false"
# The required columns; `FURTHER` has the optional ones, described in `router_model.data.outcome_reader`.
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
    """The rows of a table with its known columns. OutcomeError: it is not a valid outcome table."""
    try:
        with pq.ParquetFile(path) as file:
            _check(path, file.schema_arrow)
            known_columns = [name for name in (*NEEDED, *FURTHER) if name in file.schema_arrow.names]
            table = file.read(columns=known_columns).select(known_columns)
        for name in NEVER_NULL:
            if table[name].null_count:
                raise OutcomeError(f"{path}: column {name} has {table[name].null_count} nulls; every row needs one")
        found: list[dict[str, Any]] = table.to_pylist()
    except FileNotFoundError:
        raise OutcomeError(f"{path}: no such file") from None
    # pyarrow raises any of these for invalid files.
    except (pa.ArrowException, OSError, UnicodeDecodeError, OverflowError) as error:
        reason = str(error).strip() or type(error).__name__
        raise OutcomeError(f"{path}: not a readable Parquet file ({reason.splitlines()[0]})") from None
    return found


def write(found: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write rows as a table; an existing file stays until the new one is complete. OSError: it cannot be written."""
    table = pa.Table.from_pylist(list(found))
    output_files.put_by(path, lambda new: pq.write_table(table, new))


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
    """Whether a column's type is of a kind; a column of nulls is of any kind."""
    if pa.types.is_dictionary(found):
        found = found.value_type
    yield pa.types.is_null(found)
    if kind == TEXT:
        yield pa.types.is_string(found) or pa.types.is_large_string(found)
    else:
        # Single samples may be written as true and false instead of 1 and 0.
        yield pa.types.is_boolean(found)
        yield kind == NUMBER and (pa.types.is_integer(found) or pa.types.is_floating(found))
