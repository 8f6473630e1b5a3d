"""Most tests that talk to the API do so without sockets: they are cheap, and do not depend on ports."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(__file__).parent
IN_PROCESS = {"RunningGateway", "KeyedGateway", "ASGITransport", "create_app"}
OVER_SOCKETS = {"ServedGateway", "ServedKeyedGateway", "Process", "GatewayServer", "create_admin_app", "serving"}
AT_LEAST = 2 / 3

Defined = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def module(path: Path) -> tuple[dict[str, Defined], dict[str, str]]:
    """What a file defines, and from which file here it has its other names."""
    tree = ast.parse(path.read_text("utf-8"))
    defined = {node.name: node for node in ast.walk(tree) if isinstance(node, Defined)}
    imported = {
        name.name: node.module.rsplit(".", 1)[1]
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("tests.gateway.")
        for name in node.names
    }
    return defined, imported


FILES = {path.stem: module(path) for path in FOLDER.glob("*.py")}


def names(node: Defined) -> tuple[set[str], set[str]]:
    """What is asked for as a fixture, and what else is used; what only stands in an annotation is neither."""
    parts = list(ast.walk(node))
    notes = [each.annotation for each in parts if isinstance(each, ast.arg) and each.annotation]
    notes += [each.returns for each in parts if isinstance(each, ast.FunctionDef) and each.returns]
    only_noted = {id(part) for note in notes for part in ast.walk(note)}
    used = {each.id for each in parts if isinstance(each, ast.Name) and id(each) not in only_noted}
    return {each.arg for each in parts if isinstance(each, ast.arg)}, used


def reached(file: str, name: str, seen: set[tuple[str, str]]) -> Iterator[str]:
    """All names that something in a file gets to, by way of helpers and fixtures."""
    yield name
    defined, imported = FILES[file]
    if name in IN_PROCESS | OVER_SOCKETS or (file, name) in seen:
        return
    if name not in defined:
        if name in imported and imported[name] in FILES:
            yield from reached(imported[name], name, seen)
        return
    seen.add((file, name))
    fixtures, used = names(defined[name])
    for each in fixtures:
        yield from reached(file if each in defined or each in imported else "conftest", each, seen)
    for each in used:
        yield from reached(file, each, seen)


def test_two_thirds_of_the_tests_of_the_api_have_no_socket() -> None:
    without, over = [], []
    for file, (defined, _) in FILES.items():
        for name in defined:
            if file.startswith("test_") and name.startswith("test_"):
                found = set(reached(file, name, set()))
                if found & OVER_SOCKETS:
                    over.append(f"{file}::{name}")
                elif found & IN_PROCESS:
                    without.append(f"{file}::{name}")
    share = len(without) / (len(without) + len(over))
    print(f"{len(without)} of {len(without) + len(over)} tests of the API are in-process: {share:.0%}")
    assert share >= AT_LEAST, over
