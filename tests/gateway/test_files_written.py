"""What commands write is written whole or not at all, and a disk that is full is one line."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from router_model.data import output_files
from router_model.model import artifact, artifact_reader
from router_model.tasks import generate, read_jsonl, write_jsonl
from tests.gateway.command_line import invoke
from tests.gateway.test_check import CONFIG
from tests.patience import PATIENCE_S

FULL = Path("/dev/full")


def test_a_file_takes_its_place_whole(tmp_path: Path) -> None:
    path, link = tmp_path / "file", tmp_path / "link"
    link.symlink_to(path)
    output_files.put(link, "first")
    assert (path.read_text(), link.is_symlink()) == ("first", True)

    def fails(new: Path) -> None:
        new.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match=r"No space left on device: '.*/file'"):
        output_files.put_by(path, fails)
    assert path.read_text() == "first" and {each.name for each in tmp_path.iterdir()} == {"file", "link"}
    with pytest.raises(OSError, match=r"No space left on device: '/dev/full'"):
        output_files.put(FULL, "text")
    assert FULL.is_char_device()
    for wrong in (tmp_path, tmp_path / "none" / "file", Path("/proc/thinkgate")):
        with pytest.raises(OSError, match=str(wrong)):
            output_files.can_put(wrong)
    output_files.can_put(tmp_path / "none" / "file", folders=True)
    assert not (tmp_path / "none").exists()


def test_an_artifact_that_does_not_fit_leaves_the_one_before(tmp_path: Path) -> None:
    """The second file of three is too large: none of them changes."""
    files = {tmp_path / name: name.encode() for name in ("CARD.md", "weights.npz", "artifact.json")}
    output_files.put_together(files)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(OSError, match=r"File too large: '.*/weights.npz'"):
            output_files.put_together({**files, tmp_path / "CARD.md": b"new", tmp_path / "weights.npz": bytes(10_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == files


def _limited(arguments: Sequence[str | Path], cwd: Path, most: int) -> subprocess.CompletedProcess[str]:
    """The command, on a disk that takes no file of more than so many bytes."""
    code = (
        f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({most}, {most}));"
        "from gateway.cli import main; main()"
    )
    # -B: or what Python compiles on the way would be kept cut short, for all who import it later.
    command = [sys.executable, "-B", "-W", "error", "-c", code, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=PATIENCE_S)


def _on_a_terminal(arguments: Sequence[str | Path], cwd: Path) -> tuple[int, str]:
    """Its exit status, and what was to be seen."""
    command = [sys.executable, "-W", "error", "-m", "gateway.cli", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    terminal, ours = pty.openpty()
    process = subprocess.Popen(command, cwd=cwd, env=environment, stdout=ours, stderr=ours)
    os.close(ours)
    shown = b""
    with contextlib.suppress(OSError):  # as it says that nobody has it open any more
        while part := os.read(terminal, 4096):
            shown += part
    os.close(terminal)
    return process.wait(), shown.decode()


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    write_jsonl(generate(31, 4), tmp_path / "tasks.jsonl")
    return tmp_path / "tasks.jsonl"


def test_collect_goes_on_says_so_and_mixes_nothing(engine: str, tasks: Path, tmp_path: Path) -> None:
    config, out = tmp_path / "c.toml", tmp_path / "out.parquet"
    partial = tmp_path / "out.parquet.partial"
    config.write_text(
        f'deployments.tiny = {{ url = "{engine}", family = "qwen3" }}\nmodels.m = {{ deployment = "tiny" }}\n', "utf-8"
    )
    arguments = ["collect", "--config", config, "--tasks", tasks, "--out", out]
    full = _limited(arguments, tmp_path, 1500)
    assert (full.returncode, full.stdout) == (1, "")
    assert full.stderr == f"thinkgate: {partial}: File too large\n"
    kept = [json.loads(line) for line in partial.read_text("utf-8").split("\n")[:-1] if line.endswith("}")]
    assert kept and not out.exists()

    other = tmp_path / "other.jsonl"
    write_jsonl(generate(32, 4), other)
    mixed = invoke("collect", "--config", config, "--tasks", other, "--out", out, cwd=tmp_path)
    assert mixed.returncode == 1
    assert mixed.stderr.startswith(f"thinkgate: --out: {partial} was started with other tasks: {len(kept)} of its")

    status, shown = _on_a_terminal(arguments, tmp_path)
    assert status == 0, shown
    assert f"{len(kept)} answers are done, {8 - len(kept)} to go" in " ".join(shown.split())
    assert f"/{8 - len(kept)} [" in shown, "a bar, on a terminal that does not say how wide it is"
    assert shown.split()[-4:] == ["8", "outcomes", "in", str(out)] and not partial.exists()

    again = invoke(*arguments, cwd=tmp_path)
    assert (again.returncode, again.stderr) == (
        1,
        f"thinkgate: --out: {out} exists already: choose another file, or replace it with --force\n",
    )


def test_a_router_is_not_replaced_unasked(tmp_path: Path) -> None:
    data, out = tmp_path / "data.parquet", tmp_path / "router"
    data.write_bytes(b"no table")
    out.mkdir()
    (out / "artifact.json").write_text("{}")
    for command in (["train"], ["calibrate", "--router", "prior"]):
        done = invoke(*command, "--data", data, "--out", out, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (
            1,
            f"thinkgate: --out: {out} holds a router already: choose another folder, or replace it with --force\n",
        )
        assert "holds a router" not in invoke(*command, "--data", data, "--out", out, "--force", cwd=tmp_path).stderr
        nowhere = invoke(*command, "--data", data, "--out", "/proc/thinkgate/router", cwd=tmp_path)
        assert (nowhere.returncode, nowhere.stderr.count("\n")) == (1, 1)
        assert nowhere.stderr.startswith("thinkgate: /proc/thinkgate/router/artifact.json: ")
    assert (out / "artifact.json").read_text() == "{}"


def test_keys_on_a_full_disk_are_one_line(tmp_path: Path) -> None:
    config = tmp_path / "thinkgate.toml"
    config.write_text(CONFIG, "utf-8")
    done = _limited(["keys", "create", "Ann", "--config", config], tmp_path, 4096)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
    assert done.stderr.startswith("thinkgate: ") and str(tmp_path) in done.stderr


def test_tasks_may_begin_with_a_byte_order_mark(tasks: Path) -> None:
    before = read_jsonl(tasks)
    tasks.write_text(tasks.read_text("utf-8").replace("\n", "\n\n"), "utf-8-sig")
    assert read_jsonl(tasks) == before


def test_what_is_no_artifact_is_no_router(tmp_path: Path) -> None:
    with pytest.raises(artifact.ArtifactError, match="shipped by name: prior, tiny"):
        artifact_reader.load(tmp_path)
