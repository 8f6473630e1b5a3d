"""What a configuration may say: paths from its own folder, values of the right kind, policies that can work."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from gateway import assembly
from gateway.backends.latency import latency_models_of
from gateway.commands.check import explain
from gateway.config.secret_values import signing_secrets
from gateway.config.settings import Settings, load, override
from gateway.core.errors import ConfigError
from gateway.serving.admin import admin_key
from gateway.serving.run import stored
from router_model.model import shipped
from tests.gateway.command_line import invoke
from tests.gateway.test_check import CONFIG, run

PATHS = """
[records]
path = "data/records.db"
[access]
required = true
path = "keys.db"
[responses]
path = "data/responses.db"
[signing]
key_file = "signing-key"
[admin]
port = 0
key_file = "../operators-key"
[deployments.d]
url = "http://gpu"
family = "qwen3"
api_key_file = "backend-key"
[models.m]
deployment = "d"
router = "routers/mine"
policy = { kind = "dial" }
"""
SECRET = "a secret of forty letters or a bit more.."


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A configuration that names a file beside it in each way that there is."""
    here = tmp_path / "here"
    shutil.copytree(shipped.FOLDER / "tiny", here / "routers" / "mine")
    for name in ("signing-key", "../operators-key", "backend-key"):
        (here / name).write_text(SECRET, "utf-8-sig")  # as some editors save it
    (here / "thinkgate.toml").write_text(PATHS, "utf-8-sig")
    return here


def test_every_path_begins_at_the_folder_of_the_file(folder: Path) -> None:
    chosen = load(folder / "thinkgate.toml")
    assert chosen.records.path == folder / "data/records.db"
    assert chosen.access.path == folder / "keys.db"
    assert chosen.responses_path == folder / "data/responses.db"
    assert signing_secrets(chosen.signing) == [SECRET]
    assert chosen.admin is not None and admin_key(chosen.admin) == SECRET
    deployments = assembly.deployments(chosen)
    assert deployments["d"].api_key == SECRET
    model = assembly.catalogue(chosen, deployments, latency_models_of(deployments.values())).find("m")
    assert model.router.version.startswith("tiny-")
    assert Settings.model_validate_json(chosen.model_dump_json()) == chosen, "as workers are told it"
    elsewhere = Path("elsewhere.db")
    assert override(chosen, records=elsewhere).records.path == elsewhere, "the command line's begin where it was typed"


def test_defaults_begin_there_too_and_absolute_paths_stay(folder: Path, tmp_path: Path) -> None:
    config = folder / "plain.toml"
    config.write_text(f'[signing]\nkey_file = "{tmp_path / "key"}"\n{CONFIG}', "utf-8")
    chosen = load(config)
    assert (chosen.records.path, chosen.access.path) == (folder / "thinkgate.db", folder / "thinkgate-keys.db")
    assert (chosen.responses_path, chosen.signing.key_file) == (folder / "thinkgate.db.responses", tmp_path / "key")


def test_a_router_is_looked_for_beside_the_file_and_then_among_those_that_ship(folder: Path, tmp_path: Path) -> None:
    config = folder / "thinkgate.toml"
    for name, found in (("tiny", "tiny"), ("mine", str(folder / "mine")), ("constant", "constant")):
        config.write_text(PATHS.replace("routers/mine", name), "utf-8")
        assert load(config).models["m"].router == found
    shutil.copytree(folder / "routers" / "mine", folder / "tiny")
    config.write_text(PATHS.replace("routers/mine", "tiny"), "utf-8")
    assert load(config).models["m"].router == str(folder / "tiny")


def test_keys_are_in_one_database_wherever_a_command_is_started(folder: Path, tmp_path: Path) -> None:
    config = folder / "thinkgate.toml"
    made = invoke("keys", "create", "Ann", "--json", "--config", config, cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    listed = invoke("keys", "list", "--json", "--config", config.name, cwd=folder)
    assert [key["id"] for key in json.loads(listed.stdout)["data"]] == [json.loads(made.stdout)["id"]]
    assert not list(tmp_path.glob("*.db*")) and str(folder / "keys.db") in made.stderr


def test_data_dir_is_the_folder_of_all_that_has_no_path_of_its_own(tmp_path: Path) -> None:
    config, folder = tmp_path / "thinkgate.toml", tmp_path / "data"
    config.write_text(f'data_dir = "data"\n{CONFIG}', "utf-8")
    chosen = load(config)
    paths = (chosen.records.path, chosen.access.path, chosen.responses_path, chosen.own_secret_path)
    assert paths == tuple(folder / name for name in ("records.db", "keys.db", "responses.db", "signing.key"))
    assert chosen.access.usage_path == folder / "keys.db.usage"
    assert Settings.model_validate_json(chosen.model_dump_json()) == chosen, "as workers get it"
    assert next(stored(chosen)) == f"thinkgate stores its files in {folder}"
    assert f"Files without a path of their own are in {folder}." in list(explain(chosen))
    assembly.seal(chosen)
    assert (folder / "signing.key").is_file() and folder.stat().st_mode & 0o777 == 0o700
    config.write_text(
        f'data_dir = "data"\nrecords = {{path = "r.db"}}\nresponses = {{max_turns = 5}}\n{CONFIG}', "utf-8"
    )
    chosen = load(config)
    assert (chosen.records.path, chosen.responses_path) == (tmp_path / "r.db", folder / "responses.db")
    assert chosen.responses.max_turns == 5
    config.write_text(f'data_dir = ""\n{CONFIG}', "utf-8")
    with pytest.raises(ConfigError, match="data_dir: is not a path"):
        load(config)


WRONG_KINDS = [
    ("dial = 0.3", 'dial = "0.3"', "models.merged.policy.dial: input should be a valid number; it is text: leave the"),
    ("dial = 0.3", "dial = true", "models.merged.policy.dial: input should be a valid number; it is true or false"),
    ("dial = 0.3", "dial = nan", "models.merged.policy.dial: input should be a finite number"),
    ("dial = 0.3", "dial_bounds = [0.8, 0.2]", "models.merged.policy: dial_bounds: the lower bound comes first"),
    ("dial = 0.3", 'dial_bounds = [0, "1"]', "models.merged.policy.dial_bounds[1]: input should be a valid number"),
    ("max_queue = 8", 'max_queue = "8"', "deployments.thinking.max_queue: input should be a valid integer; it is text"),
    ("max_queue = 8", "max_queue = 8.0", "deployments.thinking.max_queue: input should be a valid integer"),
    ("max_queue = 8", "max_queue = true", "deployments.thinking.max_queue: input should be a valid integer"),
    ("max_queue = 8", "total_timeout_s = inf", "deployments.thinking.total_timeout_s: input should be a finite number"),
    ("max_queue = 8", "verify = 1", "deployments.thinking.verify: input should be a valid boolean; it is a number"),
    (
        "max_queue = 8",
        'verify = "false"',
        "deployments.thinking.verify: input should be a valid boolean; it is text: le",
    ),
    (
        'effort = "high"',
        "effort = 1.5",
        "models.tried.policy.effort: input should be a valid string or a valid integer",
    ),
    ("max_answer_tokens = 2000", "strict = 1", "models.split.strict: input should be a valid boolean or 'off'"),
    ("max_answer_tokens = 2000", 'levels.low = "5"', "models.split.levels.low: input should be a valid integer or"),
    ("weight = 3", 'weight = "3"', "models.tried.arms.two.weight: input should be a valid number"),
    ("[models.merged]", '[server]\nport = "80"\n[models.merged]', "server.port: input should be a valid integer"),
    ("[models.merged]", "[records]\npath = 5\n[models.merged]", "records.path: is not a path"),
    ("[models.merged]", '[records]\npath = ""\n[models.merged]', "records.path: is not a path"),
    (
        "[models.merged]",
        '[families.f]\nbudget_step = "5"\n[models.merged]',
        "families.f.budget_step: input should be a",
    ),
    (
        'router = "constant"\n',
        "",
        "models.merged: a dial policy needs a router's forecasts, and there is no router",
    ),
    ('router = "constant"', 'router = "none"', "models.merged: a dial policy needs a router's forecasts"),
    (
        'router = "constant"\npolicy = { kind = "dial", dial = 0.3,',
        'policy = { kind = "contract",',
        "models.merged: a contract policy needs a router's forecasts, and there is no router: set one, such as",
    ),
]


def test_a_value_of_another_kind_is_one_clear_fault(tmp_path: Path) -> None:
    config = tmp_path / "thinkgate.toml"
    for right, wrong, fault in WRONG_KINDS:
        assert right in CONFIG
        config.write_text(CONFIG.replace(right, wrong, 1), "utf-8")
        with pytest.raises(ConfigError) as caught:
            load(config)
        assert len(caught.value.faults) == 1 and caught.value.faults[0].startswith(fault), caught.value.faults
    config.write_text(CONFIG.replace("dial = 0.3", "dial = 1, dial_bounds = [0, 1]"), "utf-8")
    assert load(config).models["merged"].policy.kind == "dial", "a whole number is a number"


# What each may be by itself, and what cannot be together; all of it is told before anything starts.
MERGED = "[models.merged]"
CONTRADICTIONS = [
    ("dial = 0.3", "dial = 0.3, dial_bounds = [0.5, 1.0]", "merged.policy: dial 0.3 is outside of dial_bounds,"),
    ('ceiling = "high"', 'floor = "max", ceiling = "high"', "merged.policy: the floor (max) is above the ceiling"),
    ('floor = "none"', 'floor = "low", default_effort = "none"', "split.policy: default_effort (none) is outside of"),
    ('floor = "none"', 'default_effort = "max"', "split.policy: default_effort (max) is outside of what the policy"),
    (MERGED, "{0}\nclasses.a = {{ dial = 0.1, keys = ['k'] }}\nclasses.b = {{ dial = 1, keys = ['k'] }}",
     "merged: classes: key k is in 2 classes"),
    (MERGED, "{0}\nclasses.a = {{ dial = 0.1, metadata.x = 'y' }}\nclasses.b = {{ dial = 1, metadata.x = 'y' }}",
     "merged: classes: 2 classes have the metadata {'x': 'y'}"),
    ('policy = { kind = "dial", dial = 0.3,',
     'classes.a.dial = 0.9\npolicy = {{ kind = "dial", dial = 0.3, dial_bounds = [0.1, 0.5],',
     "merged: class a: dial 0.9 is outside of dial_bounds of the policy, 0.1 to 0.5"),
    ("[models.split]", "{0}\nclasses.a.price_of_token = 0.1", "split: classes: a client policy buys at no price"),
    (MERGED, "{0}\nclasses.a.price_of_token = 1001", "merged.classes.a.price_of_token: input should be less than"),
    (MERGED, "{0}\nclasses.\"é\".dial = 0.5", 'merged.classes."\\u00e9": a header has this name'),
    (MERGED, "{0}\nprices = [{{ kind = 'sticky', name = 'dial' }}]", "merged: prices: 'dial' is the name of the"),
    (MERGED, "{0}\nclasses.sticky.dial = 0.5\nprices = [{{ kind = 'sticky' }}]", "merged: prices: 'sticky' is a class"),
    (MERGED, "{0}\nprices = [{{ kind = 'sticky', name = \"a\\nb\" }}]", "merged.prices[0].name: a name has characters"),
    (MERGED, "{0}\nprices = [{{ kind = 'pace', thinking_tokens = 0.5 }}]", "merged.prices[0].thinking_tokens: input"),
    (MERGED, "{0}\nverify = [{{ kind = 'regex', pattern = '' }}]", "merged.verify[0].pattern: string should"),
    (MERGED, "{0}\nverify = [{{ kind = 'exact', field = 'a..b' }}]", "merged.verify[0].field: string should"),
    (MERGED, "{0}\nlevels.none = 500", "merged: levels: none is no thinking: it has no tokens"),
    *((MERGED, f'{{0}}\nlevels."{name}" = 5', f"merged: levels: '{name}' means something else")
      for name in ("auto", "unlimited", "4096", "a:b")),
    *((MERGED, f'[models."{name}"]', f'{name}": a name has characters') for name in ("", " m", "a\\nb", "a\\u0000b")),
    ("weight = 3", "weight = 1e7", "tried.arms.two.weight: input should be less than or equal to 1000000"),
    ("arms.two", 'arms."zwei☃"', 'tried.arms."zwei\\u2603": a header has this name'),
]  # fmt: skip


def test_settings_that_contradict_each_other_are_one_clear_fault(tmp_path: Path) -> None:
    config = tmp_path / "thinkgate.toml"
    for right, wrong, fault in CONTRADICTIONS:
        assert right in CONFIG
        config.write_text(CONFIG.replace(right, wrong.format(right), 1), "utf-8")
        with pytest.raises(ConfigError) as caught:
            list(explain(load(config)))
        (found,) = caught.value.faults
        assert fault in found and found.startswith("models.") and "\n" not in found, (fault, found)


def test_networks_are_written_as_text(tmp_path: Path) -> None:
    config = tmp_path / "thinkgate.toml"
    config.write_text('server.trusted_proxies = ["10.0.0.0/8", "fd00::/8", "192.0.2.7"]\n' + CONFIG, "utf-8")
    assert [str(one) for one in load(config).server.trusted_proxies] == ["10.0.0.0/8", "fd00::/8", "192.0.2.7/32"]
    config.write_text('server.trusted_proxies = ["ten"]\n' + CONFIG, "utf-8")
    with pytest.raises(ConfigError, match="trusted_proxies"):
        load(config)


def test_text_in_another_encoding_is_one_clear_fault(tmp_path: Path) -> None:
    config = tmp_path / "thinkgate.toml"
    config.write_text(CONFIG, "utf-16")
    with pytest.raises(ConfigError, match="not valid TOML: it is not UTF-8 text"):
        load(config)


def test_what_comes_through_a_pipe_has_no_folder() -> None:
    done = run("check", "/dev/stdin", cwd=Path.cwd(), input=CONFIG)
    assert done.returncode == 0, done.stderr
    assert "/dev/thinkgate.db" not in done.stdout and "thinkgate.db" in done.stdout
