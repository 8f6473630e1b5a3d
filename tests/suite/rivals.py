"""`python -m tests.suite.rivals`: other local routers on the suite, beside ours and the length of the prompt.

Each rival runs in an environment of its own with the defaults that it ships, gets the whole request, and says a tier
and mostly scores; the best of them counts for it. Ours counts by what it decided.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np

from gateway import __version__
from loadtests.peers.install import NotInstalled, install, version
from tests.suite import decisions, views
from tests.suite.figures import HARD, TRIVIAL, in_order, spearman
from tests.suite.views import Case

ROOT = Path(__file__).parent.parent.parent
SCRIPTS = Path(__file__).parent / "routers"
OURS, LENGTH = "ours", "prompt length"
SHOWN = ("alone", "system", "history", "tools", "harness")


@dataclass(frozen=True)
class Installed:
    """The environment of one or two routers, as `install` takes it."""

    name: str
    wheels: tuple[str, ...]
    package: Mapping[str, object] = field(default_factory=dict)
    program: str = ""


LITELLM = Installed("router-litellm", ("litellm",))
UNCOMMON = Installed("router-uncommon", ("uncommon-route",))
WAYFINDER = Installed("router-wayfinder", ("wayfinder-router",))


class Row(NamedTuple):
    """`script`, in the environment `home`, says tiers; `thinks` is the lowest that counts as thinking."""

    name: str
    home: Installed
    script: str
    thinks: int


ROWS = (
    Row("LiteLLM, complexity rules", LITELLM, "litellm_rules.py", 2),
    Row("LiteLLM, trained tiers", LITELLM, "litellm_trained.py", 2),
    Row("uncommon-route", UNCOMMON, "uncommon.py", 1),
    Row("wayfinder-router", WAYFINDER, "wayfinder.py", 1),
)


class Judged(NamedTuple):
    """Rank correlation with difficulty, shares of trivial and of hard prompts that think, pairs in the right order."""

    rho: float
    trivial: float
    hard: float
    pairs: float


def judged(cases: Sequence[Case], thinks: Sequence[bool], *values: Sequence[float]) -> Judged:
    """By each of `values` (tiers, scores), the best for order; by `thinks` for the shares."""
    graded = np.array([case.difficulty for case in cases], np.float64)
    trivial, hard = graded == TRIVIAL, graded == HARD
    thinking = np.array(thinks)
    said = [np.asarray(one, np.float64) for one in values]
    return Judged(
        max(spearman(one, graded) for one in said),
        float(thinking[trivial].mean()),
        float(thinking[hard].mean()),
        max(in_order(one[trivial], one[hard]) for one in said),
    )


def by_rival(row: Row, folder: Path, cases: Sequence[Case]) -> Judged:
    """NotInstalled, with its last words, if it fails."""
    home = (folder / row.home.name).resolve()
    sent = "".join(json.dumps({"messages": case.messages, "tools": case.tools}) + "\n" for case in cases)
    with tempfile.TemporaryDirectory() as own:
        # What it keeps, it keeps in a folder that goes away.
        env = os.environ | {"HOME": own, "UNCOMMON_ROUTE_DATA_DIR": own, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
        command = [str(home / "bin/python"), str(SCRIPTS / row.script)]
        done = subprocess.run(command, input=sent, capture_output=True, text=True, env=env, cwd=own, check=False)
    if done.returncode:
        raise NotInstalled(f"it failed: {(done.stderr or done.stdout).strip().splitlines()[-1][:300]}")
    said = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"tier"')]
    if len(said) != len(cases):
        raise NotInstalled(f"it said {len(said)} tiers for {len(cases)} requests")
    tiers = [one["tier"] for one in said]
    return judged(
        cases, [tier >= row.thinks for tier in tiers], tiers, *zip(*(one["scores"] for one in said), strict=True)
    )


def by_length(cases: Sequence[Case]) -> Judged:
    """Characters of the last user message; longer than the median thinks."""
    lengths = [len(next(m["content"] for m in reversed(case.messages) if m["role"] == "user")) for case in cases]
    return judged(cases, list(np.array(lengths) > np.median(lengths)), lengths)


def by_ours(router: str, dial: float, drawn: Mapping[str, Sequence[Case]]) -> dict[str, Judged]:
    with tempfile.TemporaryDirectory() as folder, decisions.gateway(router, dial, Path(folder)) as running:
        decided = {view: decisions.decide(running, cases) for view, cases in drawn.items()}
    return {
        view: judged(drawn[view], [one.size > 0 for one in said], [one.size for one in said])
        for view, said in decided.items()
    }


@click.command()
@click.option("--install", "installs", is_flag=True, help="First install the rivals that are not there.")
@click.option("--folder", type=click.Path(path_type=Path), default=ROOT / ".peers", help="Where rivals are installed.")
@click.option("--router", default="prior", show_default=True, help="An artifact of ours, by name or folder.")
@click.option("--dial", default=0.5, show_default=True)
@click.option("--seed", default=0, show_default=True, help="What stands around each prompt is drawn by it.")
@click.option("--json", "path", type=click.Path(dir_okay=False, path_type=Path), help="Write the figures here, too.")
def main(installs: bool, folder: Path, router: str, dial: float, seed: int, path: Path | None) -> None:
    """Print how well local routers follow the grades of the suite, view by view, as tables in Markdown."""
    drawn = {view: views.cases(view, seed) for view in SHOWN}
    found = {f"{OURS} {__version__}, `{router}`, dial {dial:g}": by_ours(router, dial, drawn)}
    missing = {}
    for row in ROWS:
        if installs:
            install(row.home, folder, lambda what: click.echo(f"  {what}", err=True))
        try:
            name = f"{row.name} {version(row.home, folder)}"
            found[name] = {view: by_rival(row, folder, cases) for view, cases in drawn.items()}
        except NotInstalled as why:
            missing[row.name] = str(why)
    found[LENGTH] = {view: by_length(cases) for view, cases in drawn.items()}
    for line in tables(found):
        click.echo(line)
    for name, why in missing.items():
        click.echo(f"LEFT OUT: {name}: {why}")
    if path:
        path.write_text(json.dumps({"figures": found, "left_out": missing}, indent=2) + "\n", "utf-8")


def tables(found: Mapping[str, Mapping[str, Judged]]) -> list[str]:
    """Rank correlations by view, then all figures of the prompts alone."""
    lines = ["| rank correlation with difficulty | " + " | ".join(SHOWN) + " |", "|---" * (len(SHOWN) + 1) + "|"]
    lines += [
        f"| {name} | " + " | ".join(_short(rows[view].rho) for view in SHOWN) + " |" for name, rows in found.items()
    ]
    lines += ["", "| prompts alone | trivial that think | hard that think | pairs in order |", "|---|---|---|---|"]
    for name, rows in found.items():
        one = rows["alone"]
        lines.append(f"| {name} | {one.trivial:.0%} | {one.hard:.0%} | {one.pairs:.0%} |")
    return lines


def _short(value: float) -> str:
    return f"{value:.2f}".replace("0.", ".", 1)


if __name__ == "__main__":
    main()
