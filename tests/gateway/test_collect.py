"""`thinkgate collect`: every effort of every deployment, verified; an interrupted run resumes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq

from router_model.tasks import generate, write_jsonl
from tests.patience import PATIENCE_S

CONFIG = """
[deployments.tiny]
url = "{engine}"
family = "qwen3"
[deployments.tiny-instruct]
url = "{engine}"
family = "qwen3-2507"
[deployments.tiny-thinking]
url = "{engine}"
family = "qwen3-2507"
[models.merged]
deployment = "tiny"
policy = {{ kind = "client", budgets = [16], default_effort = 16 }}
[models.split]
none = "tiny-instruct"
think = "tiny-thinking"
policy = {{ kind = "client", budgets = [16], default_effort = 16 }}
"""
PROMPTS = 10
TARGETS = {
    ("tiny", "nothink", None),
    ("tiny", "budget", 16),
    ("tiny", "think", None),
    ("tiny-instruct", "nothink", None),
    ("tiny-thinking", "budget", 16),
    ("tiny-thinking", "think", None),
}


def collect(config: Path, tasks: Path, out: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gateway.cli", "collect", "--config", config, "--tasks", tasks, "--out", out]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S)


def test_budgets_are_kept_where_the_engine_does_not_keep_them(limitless: Callable[[str], str], tmp_path: Path) -> None:
    config, tasks, out = tmp_path / "c.toml", tmp_path / "tasks.jsonl", tmp_path / "outcomes.parquet"
    write_jsonl(generate(22, PROMPTS), tasks)
    config.write_text(CONFIG.format(engine=limitless("ignored")), "utf-8")
    done = collect(config, tasks, out)
    assert done.returncode == 0, done.stderr
    bounded = [row["thinking_tokens"] for row in pq.read_table(out).to_pylist() if row["mode"] == "budget"]
    assert 0 < max(bounded) <= 16


def test_every_effort_is_collected_once_even_after_an_interruption(engine: str, tmp_path: Path) -> None:
    config, tasks, out = tmp_path / "c.toml", tmp_path / "tasks.jsonl", tmp_path / "outcomes.parquet"
    config.write_text(CONFIG.format(engine=engine), "utf-8")
    write_jsonl(generate(21, PROMPTS), tasks)

    done = collect(config, tasks, out)
    assert done.returncode == 0, done.stderr
    rows = pq.read_table(out).to_pylist()
    assert len(rows) == PROMPTS * len(TARGETS)
    assert {(row["model"], row["mode"], row["budget"]) for row in rows} == TARGETS
    for row in rows:
        assert row["correct"] in (0.0, 1.0)
        assert row["mode"] != "budget" or row["thinking_tokens"] <= 16
        assert (row["probe_mean"] is None) == (row["mode"] != "nothink")

    # What an interruption leaves: some rows, the last one cut short.
    partial = tmp_path / "outcomes.parquet.partial"
    kept = json.dumps({"key": "tiny/nothink/", "prompt_id": rows[0]["prompt_id"], "model": "kept"}) + "\n"
    partial.write_text(kept + '{"key": "tiny/noth', "utf-8")
    assert collect(config, tasks, out).returncode == 0
    again = pq.read_table(out).to_pylist()
    assert len(again) == PROMPTS * len(TARGETS)
    assert sum(row["model"] == "kept" for row in again) == 1
    assert {row["router_split"] for row in again} <= {"train", "test"}
    assert not partial.exists()


def test_tasks_that_are_none_are_named(engine: str, tmp_path: Path) -> None:
    config, tasks = tmp_path / "c.toml", tmp_path / "tasks.jsonl"
    config.write_text(CONFIG.format(engine=engine), "utf-8")
    tasks.write_text("nonsense\n", "utf-8")
    done = collect(config, tasks, tmp_path / "out.parquet")
    assert done.returncode == 1
    assert "line 1" in done.stderr
    assert "Traceback" not in done.stderr
