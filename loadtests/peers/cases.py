"""The participants of a run: direct, the floor, ours, and the installed rivals; and why others are left out."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from loadtests.gateway import PATIENCE_S, thinkgate
from loadtests.peers.install import NotInstalled, version
from loadtests.peers.rivals import RIVALS, Place, Rival
from loadtests.peers.target import Target
from loadtests.peers.upstream import Upstream
from loadtests.processes import ROOT, NotStarted, Process, post

DIRECT = "direct"
FLOOR = "floor"
OURS = "thinkgate"
NAMED = "thinkgate, effort named by the client"


@dataclass(frozen=True)
class Case:
    """A row of the table: where it is asked, and the process behind it; None for the upstream itself.

    `faithful` is where fields are compared, None where they are not: ours are, for a model that passes them through.
    """

    name: str
    target: Target
    process: Process | None
    about: str
    faithful: Target | None = None


def start(stack: ExitStack, transport: Upstream, folder: Path, peers: Path, names: Sequence[str] | None) -> list[Case]:
    """Direct, floor and ours always, and those rivals of `names` (None: all) that are installed."""
    cases = [Case(DIRECT, Target(transport.port), None, "the upstream, no proxy"), _floor(stack, transport, folder)]
    process, port = thinkgate(transport.url, folder)
    stack.enter_context(process)
    cases.append(Case(OURS, Target(port, "dial"), process, "this checkout, learned decision", Target(port, "plain")))
    cases.append(Case(NAMED, Target(port, "named"), process, "the same process"))
    for rival in RIVALS:
        if names is None or rival.name in names:
            cases += _rival(rival, stack, transport, folder, peers)
    return cases


def left_out(cases: Sequence[Case], peers: Path, names: Sequence[str] | None) -> dict[str, str]:
    """The rivals that are left out, with the reasons."""
    there = {case.name for case in cases}
    reasons = {}
    for rival in RIVALS:
        if rival.name not in there:
            try:
                version(rival, peers)
                reasons[rival.name] = "it did not start" if names is None or rival.name in names else "not asked for"
            except NotInstalled as why:
                reasons[rival.name] = str(why)
    return reasons


def _floor(stack: ExitStack, transport: Upstream, folder: Path) -> Case:
    command = [sys.executable, str(ROOT / "loadtests/peers/floor.py"), transport.url]
    process = stack.enter_context(Process(command, folder, name=FLOOR))
    process.wait_until(lambda: _listens(process), PATIENCE_S)
    target = Target(_listens(process))
    process.wait_until(_answers(target), PATIENCE_S)
    return Case(FLOOR, target, process, "FastAPI + aiohttp, nothing else", target)


def _listens(process: Process) -> int:
    """The port that it announces; 0 until then."""
    lines = [line.split()[1] for line in process.output().splitlines() if line.startswith("listening ")]
    return int(lines[0]) if lines else 0


def _rival(rival: Rival, stack: ExitStack, transport: Upstream, folder: Path, peers: Path) -> list[Case]:
    try:
        about = version(rival, peers)
    except NotInstalled:
        return []
    own = folder / rival.name
    own.mkdir()
    process, where = rival.start(Place(peers.resolve() / rival.name, own, transport.url))
    stack.enter_context(process)
    try:
        process.wait_until(lambda: (target := where()) is not None and _answers(target)(), rival.patience_s)
    except NotStarted as why:
        print(f"{rival.name} is left out: {why}", file=sys.stderr)
        return []
    target = where()
    assert target is not None
    return [Case(rival.name, target, process, about, target)]


def _answers(target: Target) -> Callable[[], bool]:
    return lambda: post(target.url, target.body(), target.headers) == 200
