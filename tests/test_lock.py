"""The locks fulfil what pyproject.toml requires, everywhere, with hashes, and name no index."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import product

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.lock import Lock, locks
from tests.pins import pins, version_of
from tests.vllm_env import UNWANTED

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
MACHINES = (("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64"))
LEFT_OUT = {"torch", *UNWANTED}


def environments() -> Iterator[Mapping[str, str]]:
    for python, (platform, machine) in product(PYTHONS, MACHINES):
        yield {
            **default_environment(),
            "python_version": python,
            "python_full_version": f"{python}.0",
            "sys_platform": platform,
            "platform_system": platform.capitalize(),
            "platform_machine": machine,
        }


def versions(lock: Lock, environment: Mapping[str, str]) -> dict[str, str]:
    """What an installation from this lock has there, by canonical name."""
    found: dict[str, str] = {}
    for pin, _ in pins(lock.file):
        if pin.marker is None or pin.marker.evaluate(dict(environment)):
            name = canonicalize_name(pin.name)
            assert name not in found, f"{lock.file.name} pins {name} twice"
            found[name] = version_of(pin)
    return found


@pytest.mark.parametrize("lock", locks(), ids=lambda lock: lock.name)
def test_a_lock_fulfils_what_is_required(lock: Lock) -> None:
    """When this fails, pyproject.toml has changed: `make lock`."""
    for environment in environments():
        found = versions(lock, environment)
        for wanted in map(Requirement, lock.wanted):
            name = canonicalize_name(wanted.name)
            applies = wanted.marker is None or wanted.marker.evaluate(dict(environment))
            if applies and not (lock.torch and name in LEFT_OUT):
                assert name in found, f"{lock.file.name} lacks {wanted}: make lock"
                assert wanted.specifier.contains(found[name], prereleases=True), (
                    f"{lock.file.name} has {name} {found[name]}, and {wanted} is required: make lock"
                )


@pytest.mark.parametrize("lock", locks(), ids=lambda lock: lock.name)
def test_every_pin_has_hashes_and_no_line_names_an_index(lock: Lock) -> None:
    for pin, hashes in pins(lock.file):
        assert [bound.operator for bound in pin.specifier] == ["=="], pin
        assert hashes and all(re.fullmatch(r"sha256:[0-9a-f]{64}", each) for each in hashes), pin
        assert pin.url is None, pin
    text = lock.file.read_text("utf-8")
    assert "://" not in text and not re.search(r"^\s*-", text.replace("    --hash=sha256:", ""), re.MULTILINE)


def test_the_locks_agree_on_what_they_share() -> None:
    """What the tests ran with is what the demo and the image have."""
    by_name = {lock.name: lock for lock in locks()}
    for lock in by_name.values():
        for environment in environments() if lock.shares else ():
            shared = versions(by_name[str(lock.shares)], environment)
            assert versions(lock, environment).items() <= shared.items(), lock.name
