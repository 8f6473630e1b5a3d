"""Replay of recorded decisions: what other policies would have brought, or why that cannot be said."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from time import process_time
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from tests.gateway.probing import SURE, UNSURE, Short
from tests.gateway.running import RunningGateway
from tests.gateway.scripted import MODEL, Connection, ScriptedBackend
from tests.gateway.test_decisions_stay import DIAL

CONFIG = """
records.path = "records.db"
deployments.merged = {{ url = "{url}", model = "{model}", family = "qwen3", router_name = "tiny", verify = false }}
[models.pub]
deployment = "merged"
router = "tiny"
policy = {policy}
"""
SERVED = {**DIAL, "dial": 0.6, "explore": 1.0, "probe": "never"}
REQUESTS = 400


def toml(table: dict[str, Any]) -> str:
    return "{ " + ", ".join(f"{name} = {json.dumps(value)}" for name, value in table.items()) + " }"


def prompt(rng: Random) -> str:
    numbers = [str(rng.randint(2, 99)) for _ in range(rng.randint(2, 9))]
    return rng.choice(["What is {}?", "Running total: {}", "Compute {} please."]).format(" + ".join(numbers))


class Confident:
    """Answers probes now with confidence and now without."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng

    async def __call__(self, connection: Connection) -> None:
        await Short(self._rng.choice([SURE, -0.3, UNSURE]))(connection)


@pytest.fixture(scope="module", params=["never", "auto"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The records of a gateway that explored, with and without probes, and an outcome for each: thinking helps."""
    folder, rng = tmp_path_factory.mktemp("replay"), Random(3)
    served = {**SERVED, "probe": request.param}
    with ScriptedBackend(Confident(rng)) as backend:
        policy = toml(served)
        (folder / "thinkgate.toml").write_text(CONFIG.format(url=backend.url, model=MODEL, policy=policy), "utf-8")
        settings = {
            "deployments": {
                "merged": {
                    "url": backend.url,
                    "model": MODEL,
                    "family": "qwen3",
                    "router_name": "tiny",
                    "verify": False,
                }
            },
            "models": {"pub": {"deployment": "merged", "router": "tiny", "policy": served}},
        }
        with RunningGateway(settings, folder) as gateway:
            for _ in range(REQUESTS):
                asked = {"model": "pub", "messages": [{"role": "user", "content": prompt(rng)}]}
                assert gateway.post(asked).status_code == 200
            assert gateway.post({**asked, "reasoning_effort": "low"}).status_code == 200
    with closing(sqlite3.connect(folder / "records.db")) as database, database:
        for id, decided in database.execute("SELECT id, decided FROM records WHERE reason <> 'client'").fetchall():
            score = float(rng.random() < (0.35 if decided == "none" else 0.85))
            values = {"id": id, "metric": "outcome", "source": "person", "score": score, "time": 1.0, "weight": 1.0}
            marks = ", ".join("?" * len(values))
            database.execute(f"INSERT INTO outcomes ({', '.join(values)}) VALUES ({marks})", list(values.values()))
    yield folder


def replay(folder: Path, *options: str) -> Result:
    return CliRunner().invoke(main, ["replay", "--config", str(folder / "thinkgate.toml"), *options])


def test_dials_are_estimated_with_intervals_and_a_page(folder: Path, tmp_path: Path) -> None:
    done = replay(folder, "--json", str(tmp_path / "r.json"), "--html", str(tmp_path / "r.html"))
    assert done.exit_code == 0, done.output
    assert max(map(len, done.stdout.splitlines())) <= 80
    found = json.loads((tmp_path / "r.json").read_text("utf-8"))
    assert found["decisions"] == found["on_policy"]["n"] == REQUESTS
    assert found["left_out"] == {"the client named the effort": 1}
    outcomes = {one["name"]: one for one in found["policies"] if one["metric"] == "outcome"}
    assert list(outcomes) == [f"dial-0.{step}" for step in range(1, 10)]
    near = outcomes["dial-0.6"]
    assert near["refused"] is None and near["ess"] > REQUESTS * 0.4
    low, high = near["ci"]
    assert low < near["estimate"] < high and high - low < 0.2
    assert {"name", "metric", "estimate", "ci", "ess", "n", "method", "refused"} <= near.keys()
    page = (tmp_path / "r.html").read_text("utf-8")
    assert "<svg" in page and "dial-0.6" in page


def test_a_policy_of_a_file_and_one_that_the_log_says_nothing_of(folder: Path, tmp_path: Path) -> None:
    for name, policy in (
        ("dearer", {**SERVED, "explore": 0.0, "dial": 0.5}),
        ("never", {"kind": "fixed", "effort": "none"}),
    ):
        (tmp_path / f"{name}.toml").write_text(f"policy = {toml(policy)}", "utf-8")
    files = [option for name in ("dearer", "never") for option in ("--policy", str(tmp_path / f"{name}.toml"))]
    done = replay(folder, *files, "--json", str(tmp_path / "r.json"))
    assert done.exit_code == 0, done.output
    found = {one["name"]: one for one in json.loads((tmp_path / "r.json").read_text("utf-8"))["policies"]}
    assert set(found) == {"dearer", "never"}
    assert all(one["refused"] or one["ci"] for one in found.values())


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ("policy = { kind = 'dail' }", "dial"),
        ("policy = { kind = 'dial', dial = 2 }", "policy.dial"),
        ("policy = { kind = 'fixed', effort = 'none' }\nmore = 1", "nothing else"),
        ("policy = { kind = 'dial', ceiling = 'none' }", "ceiling"),
        ("[", "bad.toml"),
    ],
)
def test_bad_policies_are_refused(folder: Path, tmp_path: Path, policy: str, said: str) -> None:
    (tmp_path / "bad.toml").write_text(policy, "utf-8")
    done = replay(folder, "--policy", str(tmp_path / "bad.toml"))
    assert done.exit_code != 0 and said in str(done.output) + str(done.exception), (done.output, done.exception)


def test_without_exploration_or_records_the_reason_is_given(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("x = 1", "utf-8")
    for options, said in (
        (("--dial", "nan"), "--dial: nan"),
        (("--policy", str(tmp_path / "bad.toml")), "nothing else"),
    ):
        done = replay(folder, "--records", str(tmp_path / "none.db"), *options)
        assert done.exit_code != 0 and said in done.output + str(done.exception), "said before records are looked for"
    assert "none is recorded" in replay(folder, "--since", "2999-01-01").output
    done = replay(folder, "--records", str(tmp_path / "none.db"))
    assert done.exit_code != 0 and "none is recorded" in str(done.exception) + done.output
    plain = tmp_path / "records.db"
    with closing(sqlite3.connect(folder / "records.db")) as source, closing(sqlite3.connect(plain)) as copy:
        source.backup(copy)
        with copy:
            copy.execute("UPDATE records SET propensity = 1.0, reason = 'router' WHERE reason = 'explore'")
            copy.execute("UPDATE records SET propensity = 1.0, prices = NULL")
    done = replay(folder, "--records", str(plain), "--dial", "0.5")
    assert done.exit_code == 0 and "refused" in done.output


@pytest.mark.long
def test_a_hundred_thousand_records_take_seconds(folder: Path, tmp_path: Path) -> None:
    """Out of the database, parsed, and judged at nine dials by three metrics. How long it takes is printed."""
    many = tmp_path / "records.db"
    with closing(sqlite3.connect(folder / "records.db")) as source, closing(sqlite3.connect(many)) as copy:
        source.backup(copy)
        for table, others in (("records", "id, unit"), ("outcomes", "id")):
            names = [row[1] for row in copy.execute(f"PRAGMA table_info({table})")]
            columns = ", ".join(f"{name} || '-' || n" if name in others.split(", ") else name for name in names)
            copy.execute(
                f"WITH RECURSIVE times(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM times WHERE n < 249) "
                f"INSERT INTO {table} SELECT {columns} FROM {table}, times"
            )
        copy.commit()
    start = process_time()
    done = replay(folder, "--records", str(many), "--json", str(tmp_path / "r.json"))
    assert done.exit_code == 0, done.output
    print(f"{250 * REQUESTS} decisions in {process_time() - start:.1f} s of CPU")
    assert json.loads((tmp_path / "r.json").read_text("utf-8"))["decisions"] == 250 * REQUESTS


def test_a_report_sums_up_by_group_and_says_what_if(folder: Path) -> None:
    def report(*options: str) -> Result:
        return CliRunner().invoke(main, ["report", "--config", str(folder / "thinkgate.toml"), *options])

    done = report("--by", "day,model", "--what-if", "dial=0.4")
    assert done.exit_code == 0, done.output
    assert max(map(len, done.stdout.splitlines())) <= 80 and "dial-0.4" in done.stdout
    found = json.loads(report("--by", "model", "--json").stdout)
    (group,) = found["groups"]
    assert group["model"] == "pub" and group["requests"] == REQUESTS + 1 and group["outcome"]["n"] == REQUESTS
    low, high = group["outcome"]["ci"]
    assert low < group["outcome"]["mean"] < high and group["latency_s"]["ci"] is not None
    assert json.loads(report("--model", "other", "--json").stdout)["groups"] == []
    for options, said in (
        (("--by", "modle"), "model"),
        (("--what-if", "dail=1"), "dial=0.4"),
        (("--what-if", "dial=2"), "0 to 1"),
        (("--what-if", "dial=nan"), "0 to 1"),
        (("--since", "yesterday"), "no time such as 2026-11-30"),
        (("--since", "nan"), "no time such as"),
        (("--until", "inf"), "no time such as"),
        (("--since", "2026-11-30", "--until", "2026-11-29T23:59:59"), "--until: it is not after --since"),
    ):
        done = report(*options)
        assert done.exit_code != 0 and said in done.output + str(done.exception)
