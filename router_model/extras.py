"""Optional dependencies: a command that needs an extra fails at once, with one line that says how to install it."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from urllib.parse import unquote, urlsplit

_PACKAGE = "thinkgate"
_NAME = re.compile(r"[\w.-]+")
_EXTRA = re.compile(r"extra\s*==\s*[\"']([\w.-]+)[\"']")
_NESTED = re.compile(rf"{_PACKAGE}\[([^\]]+)\]")


def need(extra: str) -> None:
    """SystemExit, with one line and status 1: packages of this extra are not installed."""
    missing = [name for name in _names(extra) if _installed(name) is None]
    if missing:
        more = f" and {len(missing) - 1} more are" if len(missing) > 1 else " is"
        sys.exit(f"{_PACKAGE}: {missing[0]}{more} missing: {_remedy(extra)}")


def _names(extra: str) -> Iterator[str]:
    """The distributions of an extra, and of the extras that it names, by the package's own metadata."""
    package = _installed(_PACKAGE)
    if package is None:
        yield _PACKAGE
        return
    for text in package.requires or ():
        condition, name = _EXTRA.search(text), _NAME.match(text)
        if condition is None or condition[1] != extra or name is None:
            continue
        nested = _NESTED.match(text)
        if nested is None:
            yield name[0]
        else:
            for inner in nested[1].split(","):
                yield from _names(inner.strip())


def _installed(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def _remedy(extra: str) -> str:
    """The command that installs it into this environment, from where the package itself was installed."""
    beside = Path(sys.executable).with_name("pip")
    pip = "pip" if shutil.which("pip") == str(beside) else f"{sys.executable} -m pip"
    return f"{pip} install '{_source()}[{extra}]'"


def _source() -> str:
    """The folder or file that the package was installed from, `.` for the current folder, else its name."""
    package = _installed(_PACKAGE)
    origin = json.loads(package.read_text("direct_url.json") or "{}") if package else {}
    url = urlsplit(origin.get("url", ""))
    place = Path(unquote(url.path)) if url.scheme == "file" else _checkout()
    if place is None or not place.exists():
        return _PACKAGE
    return "." if place == Path.cwd() else str(place)


def _checkout() -> Path | None:
    """The folder of this very file, if it is a checkout's."""
    folder = Path(__file__).resolve().parents[1]
    return folder if (folder / "pyproject.toml").is_file() else None
