"""Thoughts that come back: as they were made, or not at all."""

from __future__ import annotations

import base64
import re
import stat
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import assembly
from gateway.auth.seal import BoundSeal, ForeignSeal, Seal
from gateway.auth.seal_secret import stored_secret
from gateway.commands.check import explain
from gateway.config import settings
from gateway.core.errors import ConfigError
from tests.gateway.bounded import QUICK
from tests.gateway.conftest import table

OLD, NEW, OTHER = ("an old secret, " * 4, "a new secret, " * 4, "another's secret" * 4)
BOTH = Seal([NEW, OLD])
SEAL = BOTH.bound("a-key", "a-model")
ANY_TEXT = st.text(st.characters(exclude_categories=()))


@QUICK
@given(ANY_TEXT)
def test_what_was_made_comes_back(thought: str) -> None:
    assert SEAL.verify(thought, SEAL.sign(thought))
    assert SEAL.open(SEAL.close(thought)) == thought


@QUICK
@given(ANY_TEXT, ANY_TEXT)
def test_what_was_not_made_is_never_taken(thought: str, other: str) -> None:
    assert SEAL.verify(thought, other) is not True and not isinstance(SEAL.open(other), str)
    assert SEAL.verify(other, SEAL.sign(thought)) is (thought == other)


@QUICK
@given(st.text(min_size=1), st.data())
def test_whatever_is_changed_is_noticed(thought: str, data: st.DataObject) -> None:
    for made, takes in (
        (SEAL.sign(thought), lambda shown: SEAL.verify(thought, shown) is True),
        (SEAL.close(thought), lambda shown: isinstance(SEAL.open(shown), str)),
    ):
        assert takes(made)
        raw = bytearray(base64.b64decode(made))
        raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
        assert not takes(base64.b64encode(raw).decode())
        cut = data.draw(st.integers(0, len(made) - 1))
        assert not takes(made[:cut]) and not takes(made + made[cut:]) and not takes(f"{made[:cut]}\n{made[cut:]}")


def test_one_kind_is_not_taken_for_the_other() -> None:
    assert SEAL.open(SEAL.sign("so")) is None and not SEAL.verify("so", SEAL.close("so"))
    assert SEAL.open("") is None and not SEAL.verify("", "")


def test_a_sealed_thought_cannot_be_read_and_never_looks_the_same() -> None:
    thought = "the capital of France"
    one, two = SEAL.close(thought), SEAL.close(thought)
    assert one != two and thought.encode() not in base64.b64decode(one)
    assert SEAL.sign(thought) == SEAL.sign(thought)


def test_secrets_are_rotated() -> None:
    before, other = (Seal([secret]).bound("a-key", "a-model") for secret in (OLD, OTHER))
    assert SEAL.verify("so", before.sign("so")) is True and SEAL.open(before.close("so")) == "so"
    assert SEAL.sign("so") == Seal([NEW]).bound("a-key", "a-model").sign("so")
    assert before.verify("so", SEAL.sign("so")) is False and before.open(SEAL.close("so")) is None
    assert other.verify("so", SEAL.sign("so")) is False and other.open(SEAL.close("so")) is None


def test_what_one_key_was_given_opens_for_no_other() -> None:
    for key in ("b-key", "", None, "a-ke", "a-keya-model"):
        for model in ("a-model", "b-model"):
            other = BOTH.bound(key, model)
            assert other.verify("so", SEAL.sign("so")) is False and other.open(SEAL.close("so")) is None
            assert SEAL.verify("so", other.sign("so")) is False and SEAL.open(other.close("so")) is None


def test_a_thought_of_another_model_is_told_apart_from_a_forged_one() -> None:
    other = BOTH.bound("a-key", "b-model")
    signed, sealed = SEAL.sign("so"), SEAL.close("so")
    assert other.verify("so", signed) is ForeignSeal.MODEL and other.open(sealed) is ForeignSeal.MODEL
    assert other.verify("no", signed) is False
    # The name of the model that a thought says it is of is a part of what is signed and sealed.
    mine, theirs = (base64.b64decode(each.sign("so"))[1:17] for each in (SEAL, other))
    for made, takes in ((signed, lambda shown: other.verify("so", shown)), (sealed, other.open)):
        raw = base64.b64decode(made)
        assert raw[1:17] == mine
        assert not takes(base64.b64encode(raw[:1] + theirs + raw[17:]).decode())


def test_those_of_an_earlier_release_are_left_out() -> None:
    """They were bound to no key."""
    signed, sealed = (base64.b64encode(raw).decode() for raw in (b"\x01" + bytes(32), b"\x02" + bytes(60)))
    assert SEAL.verify("so", signed) is ForeignSeal.RELEASE and SEAL.open(sealed) is ForeignSeal.RELEASE
    assert SEAL.verify("so", sealed) is not True and SEAL.open(base64.b64encode(b"\x02").decode()) is None


def test_the_secrets_come_from_where_they_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def named(**signing: str) -> BoundSeal:
        chosen = settings.parse({"records": {"path": tmp_path / "r.db"}, **table("http://x"), "signing": signing})
        return assembly.seal(chosen).bound(None, "m")

    def sign(secret: str) -> str:
        return Seal([secret.strip()]).bound(None, "m").sign("so")

    file = tmp_path / "secrets"
    file.write_text(f"\n  {NEW.strip()} \n\n{OLD.strip()}\n", "utf-8")
    both = named(key_file=str(file))
    assert both.sign("so") == sign(NEW) and both.verify("so", sign(OLD)) is True
    monkeypatch.setenv("SIGNING", OLD)
    assert named(key_env="SIGNING").sign("so") == sign(OLD)
    assert not (tmp_path / "r.db.key").exists()
    file.write_text("short\n", "utf-8")
    for wrong, what in (
        ({"key_file": str(file)}, "fewer than 32 characters"),
        ({"key_file": str(tmp_path / "none")}, "signing.key_file: .*No such file"),
        ({"key_env": "NOT_THERE"}, "signing.key_env: .*NOT_THERE is not set"),
        ({"key_env": "SIGNING", "key_file": str(file)}, "set one of them"),
    ):
        with pytest.raises(ConfigError, match=what):
            named(**wrong)


def test_a_gateway_without_a_secret_makes_one_that_all_workers_share(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "records.db.key"
    with ProcessPoolExecutor(4) as workers:
        made = set(workers.map(stored_secret, [path] * 16))
    assert len(made) == 1 and re.fullmatch("[0-9a-f]{64}", made.pop())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for damaged in (b"half", b"\xff" * 64):
        path.write_bytes(damaged)
        with pytest.raises(ConfigError, match="is not a Thinkgate signing secret"):
            stored_secret(path)


def test_a_secret_that_cannot_be_kept_stops_the_start(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("", "ascii")
    with pytest.raises(ConfigError, match="cannot be used"):
        stored_secret(blocked / "records.db.key")
    (tmp_path / "r.key").mkdir()
    with pytest.raises(ConfigError, match="cannot be used"):
        stored_secret(tmp_path / "r.key")


def test_check_says_who_signs_and_makes_nothing(tmp_path: Path) -> None:
    records = tmp_path / "r.db"
    lines = list(explain(settings.parse({"records": {"path": records}, **table("http://x")})))
    assert f"Signs reasoning with a secret of its own, in {records}.key." in lines
    assert list(tmp_path.iterdir()) == []
