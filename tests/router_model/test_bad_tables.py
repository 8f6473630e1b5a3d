"""Outcome tables that cannot be used: one line by each command that reads them; nothing is averaged in silence."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from gateway.cli import main
from router_model.data import outcome_reader
from router_model.data.outcomes import OutcomeError
from router_model.training import selection, train
from tests.router_model import tables

Rows = list[dict[str, Any]]


def every(column: str, value: Any) -> Callable[[Rows], Rows]:
    return lambda rows: [row | {column: value} for row in rows]


def first(**change: Any) -> Callable[[Rows], Rows]:
    return lambda rows: [rows[0] | change, *rows[1:]]


def without(*columns: str) -> Callable[[Rows], Rows]:
    return lambda rows: [{k: v for k, v in row.items() if k not in columns} for row in rows]


def of_mode(*modes: str) -> Callable[[Rows], Rows]:
    return lambda rows: [row for row in rows if row["mode"] in modes]


def text(column: str) -> Callable[[Rows], Rows]:
    return lambda rows: [row | {column: str(row[column])} for row in rows]


def sources(rows: Rows) -> Rows:
    return [row | {"tokens_source": "api" if i % 7 else "estimated"} for i, row in enumerate(rows)]


WRONG: dict[str, tuple[Callable[[Rows], Rows], str]] = {
    "missing column": (without("mode"), "missing column mode"),
    "missing columns": (without("mode", "correct"), "missing columns mode, correct"),
    "no rows": (lambda rows: rows[:0], "missing columns dataset, prompt_id"),
    **{
        f"null {name}": (first(**{name: None}), f"column {name} has 1 nulls; every row needs one")
        for name in ("dataset", "prompt_id", "prompt", "model", "mode", "correct")
    },
    "text for correct": (text("correct"), "column correct holds string, where it must be a number"),
    "text for tokens": (text("completion_tokens"), "column completion_tokens holds string"),
    "numbers for prompts": (every("prompt", 7), "column prompt holds int64, where it must be text"),
    "a list for the budget": (every("budget", [1]), "column budget holds list<"),
    "numbers for modes": (every("mode", 1.5), "column mode holds double"),
    "text for a probe": (every("probe_mean", "-1"), "column probe_mean holds string"),
    "several wrong kinds": (
        lambda rows: text("correct")(every("model", 1)(rows)),
        "column model holds int64, where it must be text; column correct holds string",
    ),
    "correct above 1": (first(correct=1.5), "correct must lie in [0, 1]"),
    "correct not a number": (first(correct=float("nan")), "correct must lie in [0, 1]"),
    "fewer than no tokens": (first(completion_tokens=-1), "completion_tokens must be a count"),
    "endless tokens": (first(thinking_tokens=float("inf")), "thinking_tokens must be a count"),
    "probability above 1": (first(probe_mean=0.5), "probe_mean is a log-probability, never above 0"),
    "certainly wrong probe": (first(probe_min=float("-inf")), "probe_min is a log-probability"),
    "unknown mode": (first(mode="ponder"), "unknown mode 'ponder'"),
    "budget without one": (first(mode="budget"), "needs a budget in tokens"),
    "negative budget": (first(mode="budget", budget=-5), "needs a budget in tokens"),
    "tools that are none": (first(tools="[1"), "tools must be a JSON list of tools"),
    "tools of another shape": (first(tools='{"name": "f"}'), "tools must be a JSON list of tools"),
    "same row twice": (lambda rows: [*rows, rows[0]], "two rows for prompt 0-0 of sums and m/nothink; merge them"),
    "two texts": (first(prompt="another text"), "has two different texts"),
    "no-think only": (of_mode("nothink"), "one arm only"),
    "think only": (of_mode("think"), "one arm only"),
    "mixed counts": (sources, "tokens of m/nothink in sums were counted by api ("),
    "counts half unknown": (
        lambda rows: [row | {"tokens_source": "api" if i % 12 else None} for i, row in enumerate(rows)],
        "were counted by unknown (",
    ),
}


def refused(path: Path, artifact: Path, out: Path) -> list[str]:
    """What `train` and `evaluate` say: one line each, and no artifact."""
    said = []
    for arguments in (("train", "--data", path, "--out", out), ("evaluate", "--router", artifact, "--data", path)):
        done = CliRunner().invoke(main, [*map(str, arguments)])
        # The command's own way out: no traceback.
        assert isinstance(done.exception, SystemExit) and done.exit_code == 1, (done.output, done.exception)
        lines = done.stderr.splitlines()
        assert len(lines) == 1 and lines[0].startswith("thinkgate: "), done.stderr
        said.append(lines[0])
    assert not out.exists()
    return said


@pytest.mark.parametrize(("change", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_table_is_refused_by_both_commands(
    change: Callable[[Rows], Rows], message: str, artifact_path: Path, tmp_path: Path
) -> None:
    path = tables.write(change(tables.rows(n=60)), tmp_path / "t.parquet")
    for line in refused(path, artifact_path, tmp_path / "out"):
        assert message in line


def test_a_table_without_rows_is_refused(artifact_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.Table.from_pylist(tables.rows(n=2)).slice(0, 0), path)
    assert all("the outcome tables have no rows" in line for line in refused(path, artifact_path, tmp_path / "out"))


@pytest.mark.parametrize("kept", [0.0, 0.01, 0.5, 0.99, 0.999])
def test_a_truncated_file_is_refused(kept: float, artifact_path: Path, tmp_path: Path) -> None:
    path = tables.write(tables.rows(n=60), tmp_path / "t.parquet")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    for line in refused(path, artifact_path, tmp_path / "out"):
        assert "not a readable Parquet file" in line


def test_files_that_are_no_parquet_or_hold_no_text(artifact_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    path.write_text(json.dumps(tables.rows(n=1)), "utf-8")
    assert "not a readable Parquet file" in refused(path, artifact_path, tmp_path / "out")[0]
    made = pa.Table.from_pylist(tables.rows(n=2))
    torn = pa.array([b"\xff\xfe"] * len(made)).cast(pa.string(), safe=False)
    pq.write_table(made.set_column(made.schema.get_field_index("prompt"), "prompt", torn), path)
    assert "not a readable Parquet file ('utf-8' codec" in refused(path, artifact_path, tmp_path / "out")[0]
    pq.write_table(made.append_column("correct", made["correct"]), path)
    assert "two columns are called correct" in refused(path, artifact_path, tmp_path / "out")[0]


def test_flipped_bytes_are_refused_or_change_nothing_unsaid(tmp_path: Path) -> None:
    """Whatever is broken in the file: one line, or a table that holds up."""
    path = tables.write(tables.rows(n=12), tmp_path / "t.parquet")
    whole, rng = path.read_bytes(), random.Random(0)
    for _ in range(150):
        broken = bytearray(whole)
        for _ in range(rng.randint(1, 4)):
            broken[rng.randrange(len(broken))] = rng.randrange(256)
        path.write_bytes(broken)
        try:
            outcome_reader.read([path])
        except OutcomeError as error:
            assert "\n" not in str(error)


def test_true_and_false_unknown_counts_and_coded_texts_are_understood(tmp_path: Path) -> None:
    rows = [row | {"correct": bool(row["correct"])} for row in of_mode("nothink", "think")(tables.rows(4))]
    rows[1] |= {"completion_tokens": float("nan"), "thinking_tokens": None}
    rows[3] |= {"completion_tokens": 5, "thinking_tokens": 9}
    made = pa.Table.from_pylist(rows)
    coded = made["model"].dictionary_encode()
    path = tmp_path / "t.parquet"
    pq.write_table(made.set_column(made.schema.get_field_index("model"), "model", coded), path)
    table = outcome_reader.read([path])
    assert set(table.correct.ravel()) == {0.0, 1.0}
    # A thought longer than all that was said has an unknown length.
    assert str(table.thinking[:2, 1]) == "[nan nan]" and table.completion[1, 1] == 5


def test_what_was_counted_apart_is_said(artifact_path: Path, tmp_path: Path) -> None:
    """Within a data set that is refused; over several, and between two arms, it is used and said."""
    one = [row | {"tokens_source": "api"} for row in tables.rows(n=60)]
    other = [
        row | {"tokens_source": "api" if row["mode"] == "think" else "estimated"}
        for row in tables.rows(n=60, seed=1, name="more")
    ]
    path = tables.write([*one, *other], tmp_path / "t.parquet")
    table = outcome_reader.read([path])
    weak, strong = table.pair(None, None)
    said = [
        "tokens of m/nothink were counted by api and estimated, in different data sets",
        "tokens in more were counted differently (of m/think by api, of m/nothink by estimated): the cost of thinking "
        "is a guess",
    ]
    assert table.unlike([weak, strong]) == said
    assert table.rows(table.correct[:, 0] >= 0).unlike([strong]) == []
    heard: list[str] = []
    selection.trainable(table, heard.append)
    assert [f"Careful: {said[0]}"] == [line for line in heard if "m/nothink were" in line]
    done = CliRunner().invoke(main, ["evaluate", "--router", str(artifact_path), "--data", str(path)])
    assert done.exit_code == 0 and all(line[:60] in done.output for line in said)


def test_questions_of_the_test_split_are_not_trained_on() -> None:
    """Nor when they come again under another name, in another case."""
    rows = tables.rows(n=120)
    held = {row["prompt_id"] for row in rows[: 6 * 20]}
    again = [
        row | {"prompt_id": f"again-{row['prompt_id']}", "prompt": row["prompt"].upper() + " !"}
        for row in rows
        if row["prompt_id"] in held
    ]
    marked = [row | {"router_split": "test" if row["prompt_id"] in held else "train"} for row in rows]
    said: list[str] = []
    table = selection.trainable(outcome_reader.from_rows([*marked, *again]), said.append)
    left = {prompt.key.split("\n")[1] for prompt in table.prompts}
    assert not any(name.startswith("again") for name in left) and not left & held
    assert any("prompts with the same question as one marked router_split=test" in line for line in said)


def test_a_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tables.write(tables.rows(n=60), tmp_path / "t.parquet")
    with pytest.raises(OutcomeError, match="no model 'n' in the data with enough rows; there are: m"):
        train.run([path], tmp_path / "out", models=["n"], say=lambda line: None)
