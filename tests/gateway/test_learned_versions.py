"""Versions of a router that are learned from recorded traffic: made, tried, promoted and rolled back."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.app import make_parts
from gateway.assembly.served_versions import with_versions
from gateway.cli import main
from gateway.config.settings import load
from gateway.core.errors import ConfigError
from gateway.core.router_version import RouterVersion, VersionsOfModel
from gateway.serving.version_watch import VersionWatch
from gateway.storage.router_versions import RouterVersions
from router_model.model import artifact_reader
from tests.gateway.running import RunningGateway
from tests.gateway.scripted import MODEL, ScriptedBackend

CONFIG = """
data_dir = "data"
learn = {{ features = true, canary = 0.5 }}
deployments.dep = {{ url = "{url}", model = "{model}", family = "qwen3", router_name = "tiny", verify = false }}
[models.pub]
deployment = "dep"
router = "tiny"
policy = {{ kind = "dial", dial = 0.5, probe = "never", budgets = [64] }}
"""
ROUTER = "x-thinkgate-router"


def prompt(rng: Random) -> str:
    numbers = [str(rng.randint(2, 99)) for _ in range(rng.randint(2, 9))]
    return rng.choice(["What is {}?", "Running total: {}", "Compute {} please."]).format(" + ".join(numbers))


def answered(config: Path, count: int, rng: Random) -> set[str]:
    """The routers that decided so many requests. Sums of few numbers need no thought, as users report."""
    with RunningGateway.of(make_parts(with_versions(load(config)))) as gateway:
        routers = set()
        for number in range(count):
            asked = prompt(rng)
            # Without exploration clients see to it that both efforts are known.
            dial = {"thinkgate": {"dial": float(number % 2)}}
            body = {"model": "pub", "messages": [{"role": "user", "content": asked}], "user": f"u{number}", **dial}
            answer = gateway.post(body)
            routers.add(answer.headers[ROUTER])
            good = answer.headers["x-thinkgate-effort"] != "none" or asked.count("+") < 4
            told = {"id": answer.headers["x-thinkgate-id"], "score": float(good)}
            assert gateway.post(told, "/v1/feedback").is_success
    return routers


def run(*words: str) -> Result:
    return CliRunner().invoke(main, [*words])


def said(*words: str) -> str:
    result = run(*words)
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


def versions(config: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run("routers", "list", "--config", str(config), "--json").output)[0]
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with ScriptedBackend() as backend:
        folder = tmp_path_factory.mktemp("learned")
        (folder / "thinkgate.toml").write_text(CONFIG.format(url=backend.url, model=MODEL), "utf-8")
        yield folder


def test_a_version_is_made_tried_promoted_and_rolled_back(folder: Path) -> None:
    config, rng = folder / "thinkgate.toml", Random(3)
    where = "--config", str(config)
    assert "Nothing was learned yet" in said("routers", "list", *where)
    base = artifact_reader.load("tiny").version
    assert answered(config, 120, rng) == {base}
    with closing(sqlite3.connect(folder / "data" / "records.db")) as database:
        kept = [row[0] for row in database.execute("SELECT features FROM records")]
    assert len({one.partition(".")[0] for one in kept}) == 1, "all read by one router"
    assert max(map(len, kept)) < 1024

    assert "Nothing was changed" in said("learn", *where, "--dry-run")
    assert "Nothing was learned yet" in said("routers", "list", *where)
    text = said("learn", *where)
    assert "120 outcomes of person, weight 0.80" in text and "runs in shadow" in text
    [made] = versions(config)["versions"]
    assert made["state"] == "shadow" and made["about"]["sources"][0]["outcomes"] == 120
    card = (folder / "data" / "routers" / "pub" / made["version"] / "CARD.md").read_text("utf-8")
    assert f"Learned from `{base}`" in card and "| person | 120 | 0.80 | not measured |" in card
    assert answered(config, 60, rng) == {base}, "what runs in shadow decides for nobody"

    assert "goes from shadow to canary" in said("learn", *where)
    assert answered(config, 40, rng) == {base, made["version"]}, "half of all units"
    assert "proves itself" in said("learn", *where)
    assert f"canary-{made['version']}: runs, on model pub" in said("experiment", "list", *where)

    assert made["version"] in said("routers", "promote", *where)
    assert versions(config)["serving"] == made["version"]
    assert answered(config, 5, rng) == {made["version"]}
    assert said("routers", "rollback", *where).startswith(f"model pub: {base} serves")
    assert answered(config, 5, rng) == {base}
    assert run("routers", "rollback", *where).exit_code == 1, "nothing is left to go back from"
    again = said("routers", "promote", *where, "--version", made["version"])
    assert made["version"] in again, "also one that was retired"
    wrong = run("routers", "promote", *where, "--version", made["version"] + "x")
    assert wrong.exit_code == 1 and f"Did you mean {made['version']!r}" in wrong.output
    said("routers", "rollback", *where)


def test_a_running_gateway_looks_at_what_serves(tmp_path: Path) -> None:
    store, loads = RouterVersions(tmp_path / "routers"), []
    watch = VersionWatch(store, lambda: loads.append(1))
    assert not watch.look() and not loads
    store.change("pub", lambda found: VersionsOfModel("base"))
    assert watch.look() and loads == [1] and not watch.look()

    def refuse() -> None:
        raise ConfigError(["not now"])

    refused = VersionWatch(store, refuse)
    store.change("pub", lambda found: VersionsOfModel("base"))
    assert refused.look() and not refused.look(), "it is not tried again until something changes"


def test_a_damaged_file_of_versions_is_named(tmp_path: Path) -> None:
    of_numbers = {"models": {"m": {"configured": "x", "versions": [1], "drift": {}}}}
    for text in ("{", "[]", '{"models": {"m": {}}}', json.dumps(of_numbers)):
        (tmp_path / "versions.json").write_text(text, "utf-8")
        with pytest.raises(ConfigError, match=r"versions\.json cannot be read"):
            RouterVersions(tmp_path).read()


def test_drift_widens_exploration_and_shadows_within_bounds(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = tmp_path / "thinkgate.toml"
    text = CONFIG.format(url="http://127.0.0.1:9/v1", model=MODEL)
    text = text.replace("features = true,", "features = true, shadow = 0.6,").replace("[64] }", "[64], explore = 1.8 }")
    config.write_text(text, "utf-8")
    chosen = load(config)
    assert with_versions(chosen) == chosen, "nothing was learned"
    store, base = RouterVersions(chosen.versions_path), artifact_reader.load("tiny").version
    store.change("pub", lambda found: VersionsOfModel(base, (), {"inputs": "they are others"}))
    found = with_versions(chosen)
    policy: Any = found.models["pub"].policy
    assert policy.explore == 3.0 and found.learn.shadow == 1.0
    assert "traffic drifts: they are others" in caplog.text
    assert "DRIFT of inputs" in said("routers", "list", "--config", str(config))


def test_versions_that_cannot_serve_are_left_out_with_a_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = tmp_path / "thinkgate.toml"
    config.write_text(CONFIG.format(url="http://127.0.0.1:9/v1", model=MODEL), "utf-8")
    chosen = load(config)
    store, base = RouterVersions(chosen.versions_path), artifact_reader.load("tiny").version
    gone = RouterVersion("pub-1", "serving", 1.0, 1.0, "made")
    store.change("pub", lambda found: VersionsOfModel(base, (gone,)))
    assert with_versions(chosen) == chosen and "router pub-1 is missing" in caplog.text
    store.change("pub", lambda found: VersionsOfModel("another", (gone,)))
    assert with_versions(chosen) == chosen and "learned from router another is not served" in caplog.text
    assert run("routers", "promote", "--config", str(config)).exit_code == 1, "nor can they be promoted"
