"""Measures the house rules and fails where the code breaks one: `python -m tests.house`, a part of `make lint`."""

from __future__ import annotations

import ast
import re
import statistics
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PRODUCT = ("gateway", "router_model")
EVERYTHING = (*PRODUCT, "tests", "loadtests")
# The small engine stands in for a backend: it is shipped with the service and is no part of it.
ENGINE = ROOT / "gateway" / "embedded"

# Rule, what is measured, and the highest value that passes.
LIMITS = {
    "median lines of a file": 120,
    "files of more than 300 lines": 0,
    "90th percentile of a function's lines": 20,
    "functions of more than 60 lines": 0,
    "`global` statements": 0,
    "mocks and patched code": 0,
    "`assert … is not None` in the service": 10,
    "class names used twice in the gateway": 0,
    "folders outside the layers": 0,
    "imports excused from the layers": 0,
    "private words in public names": 0,
    "private words in error messages": 0,
    "private words in the README and docs": 0,
}

# Words that once had a meaning of their own here and have a standard term now. Plain English that merely shares a
# spelling ("kept", "asked") is not listed.
PRIVATE_WORDS = frozenset(
    """
    teller hearer heard unheard hears heeds visitor anybody holder door knife keeper strange stranger sifting told
    untold telling fallen buyer firmness revelation doubted alarm gaming asking unasked parrot parrots
    """.split()  # noqa: SIM905
)


@dataclass(frozen=True)
class Finding:
    """One measured rule: its figure, and where it comes from."""

    rule: str
    value: int
    places: tuple[str, ...] = ()

    @property
    def passes(self) -> bool:
        return self.value <= LIMITS[self.rule]


@cache
def nodes(path: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(path.read_text("utf-8"))))


def files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def service() -> list[Path]:
    return [path for path in files("gateway") if ENGINE not in path.parents]


def place(path: Path, node: ast.AST | None = None, what: object = "") -> str:
    line = f":{getattr(node, 'lineno', 1)}" if node is not None else ""
    return f"{path.relative_to(ROOT)}{line} {what}".rstrip()


def counted(rule: str, places: list[str]) -> Finding:
    return Finding(rule, len(places), tuple(places))


def file_lengths() -> Iterator[Finding]:
    """Over files that hold something: an empty `__init__.py` would only flatter the median."""
    lines = {path: len(path.read_text("utf-8").splitlines()) for path in files(*PRODUCT)}
    yield Finding("median lines of a file", round(statistics.median(n for n in lines.values() if n > 1)))
    yield counted("files of more than 300 lines", [place(path, what=n) for path, n in lines.items() if n > 300])


def function_lengths() -> Iterator[Finding]:
    long, lengths = [], []
    for path in files(*PRODUCT):
        for node in nodes(path):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
                lengths.append(node.end_lineno - node.lineno + 1)
                if lengths[-1] > 60:
                    long.append(place(path, node, f"{node.name} {lengths[-1]}"))
    yield Finding("90th percentile of a function's lines", round(statistics.quantiles(lengths, n=10)[-1]))
    yield counted("functions of more than 60 lines", long)


def statements() -> Iterator[Finding]:
    everywhere = [(path, node) for path in files(*EVERYTHING) for node in nodes(path)]
    yield counted(
        "`global` statements", [place(path, node) for path, node in everywhere if isinstance(node, ast.Global)]
    )
    yield counted("mocks and patched code", [place(path, node) for path, node in everywhere if is_mock(node)])
    asserted = [place(path, node) for path in service() for node in nodes(path) if asserts_not_none(node)]
    yield counted("`assert … is not None` in the service", asserted)


def is_mock(node: ast.AST) -> bool:
    """An import of `unittest.mock`, or pytest's replacing of attributes; environment variables are no code."""
    if isinstance(node, ast.Import):
        return any(each.name.startswith("unittest.mock") for each in node.names)
    if isinstance(node, ast.ImportFrom):
        imported = {each.name for each in node.names}
        return node.module == "unittest.mock" or (node.module == "unittest" and "mock" in imported)
    patches = {"setattr", "delattr", "setitem", "delitem"}
    owner = node.value if isinstance(node, ast.Attribute) and node.attr in patches else None
    return isinstance(owner, ast.Name) and owner.id == "monkeypatch"


def asserts_not_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Assert) and ast.unparse(node.test).endswith("is not None")


def class_names() -> Iterator[Finding]:
    found = [(node.name, place(path, node)) for path in files("gateway") for node in classes(path)]
    times = Counter(name for name, _ in found)
    names = sorted(name for name, number in times.items() if number > 1)
    places = [f"{name}: {', '.join(where for each, where in found if each == name)}" for name in names]
    yield counted("class names used twice in the gateway", places)


def classes(path: Path) -> list[ast.ClassDef]:
    return [node for node in nodes(path) if isinstance(node, ast.ClassDef)]


def layers() -> Iterator[Finding]:
    """Every folder and module of the gateway stands in the contract that `lint-imports` checks, and none is excused."""
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    contracts = linter["contracts"]
    ordered = {
        name for each in contracts for layer in each.get("layers", ()) for name in re.split(r"\s*[|:]\s*", layer)
    }
    outside = [name for name in modules(ROOT / "gateway", ordered) if name not in ordered | {"gateway.embedded"}]
    yield counted("folders outside the layers", outside)
    yield counted(
        "imports excused from the layers", [one for each in contracts for one in each.get("ignore_imports", ())]
    )


def modules(folder: Path, ordered: set[str]) -> Iterator[str]:
    """What is directly in a folder; where its parts are layers of their own, they are in its place."""
    for path in sorted(folder.iterdir()):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        if path.is_dir() and any(each.startswith(f"{name}.") for each in ordered):
            yield from modules(path, ordered)
        elif (path.suffix == ".py" and path.stem != "__init__") or (path / "__init__.py").exists():
            yield name


def words() -> Iterator[Finding]:
    named = [f"{where} ({name})" for path in files(*PRODUCT) for name, where in public_names(path) if private(name)]
    yield counted("private words in public names", named)
    said = [(path, node, text) for path in files(*PRODUCT) for node, text in error_texts(path)]
    yield counted(
        "private words in error messages", [place(path, node, text) for path, node, text in said if private(text)]
    )
    texts = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    lines = [
        (path, number, line) for path in texts for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
    ]
    found = [
        f"{place(path)}:{number} ({', '.join(sorted(private(line)))})" for path, number, line in lines if private(line)
    ]
    yield counted("private words in the README and docs", found)


def private(text: str) -> frozenset[str]:
    """The private words in a text or an identifier, of whatever case: `ChatTeller`, `chat_teller`."""
    return PRIVATE_WORDS.intersection(each.lower() for each in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", text))


def public_names(path: Path) -> Iterator[tuple[str, str]]:
    """Modules, classes, functions and fields without a leading underscore, metrics and headers."""
    yield path.stem, place(path)
    for node in nodes(path):
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                names = [name, *fields(node)]
                yield from ((each, place(path, node)) for each in names if not each.startswith("_"))
            case ast.Constant(value=str(text)):
                yield " ".join(re.findall(r"\b(?:x-thinkgate-[a-z-]+|thinkgate_[a-z_]+)", text)), place(path, node)


def fields(node: ast.AST) -> list[str]:
    body = node.body if isinstance(node, ast.ClassDef) else []
    return [each.target.id for each in body if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)]


def error_texts(path: Path) -> Iterator[tuple[ast.AST, str]]:
    raised = (node for node in nodes(path) if isinstance(node, ast.Raise))
    for node in (part for each in raised for part in ast.walk(each)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node, node.value


def measure() -> list[Finding]:
    parts = (file_lengths, function_lengths, statements, class_names, layers, words)
    return [finding for part in parts for finding in part()]


def report(findings: list[Finding]) -> Iterator[str]:
    broken = [each for each in findings if not each.passes]
    yield f"house rules: {f'{len(broken)} broken' if broken else 'all kept'}"
    for each in findings:
        yield f"  {'ok  ' if each.passes else 'FAIL'}  {each.value:5d}  (at most {LIMITS[each.rule]:3d})  {each.rule}"
    for each in broken:
        yield f"{each.rule}:"
        yield from (f"  {one}" for one in each.places)


def main() -> int:
    findings = measure()
    print("\n".join(report(findings)))
    return int(not all(each.passes for each in findings))


if __name__ == "__main__":
    sys.exit(main())
