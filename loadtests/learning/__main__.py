"""`python -m loadtests.learning FIGURE`: what learning from live traffic brings, on answers of the tiny model."""

from __future__ import annotations

import shutil
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from loadtests.learning.both_ends import BothEnds
from loadtests.learning.figures import gains, token_apgr
from loadtests.learning.replayed import DEPLOYMENT, MODEL, ReplayedGateway, Report, Says, shadow, silent, verified

PROMPTS, UNSEEN = 7000, 2000
TABLE = click.option(
    "--table",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("both-ends.jsonl"),
    show_default=True,
    help="The answers of both ends; collected first if it is not there.",
)
SEEDS = click.option("--seeds", type=click.IntRange(1), default=20, show_default=True)


@click.group()
def learning() -> None:
    """Learning from live traffic."""


@learning.command("label-free")
@TABLE
@click.option("--requests", type=click.IntRange(100), default=5000, show_default=True)
@click.option("--seeds", type=click.IntRange(1), default=5, show_default=True)
def label_free(table: Path, requests: int, seeds: int) -> None:
    """Shadows of 5 % of the traffic, beside as many labels of a verifier: the token APGR on prompts not served."""
    whole = BothEnds.of(table, PROMPTS)
    served = BothEnds(whole.prompts[:-UNSEEN], whole.answers[:-UNSEEN])
    unseen = range(len(whole.prompts) - UNSEEN, len(whole.prompts))
    base = token_apgr(whole, unseen, gains("prior", whole, unseen, DEPLOYMENT))
    click.echo(f"prior {base:.3f}")
    shares = []
    for seed in range(seeds):
        found = {}
        for name, says in (("shadow", shadow(served)), ("verified", verified(served))):
            with _gateway(served, seed, silent, says) as gateway:
                gateway.serve(requests)
                gateway.learn()
                made = gateway.versions.read()[MODEL].versions[-1].version
                rank = gains(gateway.versions.artifact(MODEL, made), whole, unseen, DEPLOYMENT)
                found[name] = token_apgr(whole, unseen, rank)
        shares.append(found["shadow"] / found["verified"])
        cost = gateway.shadow_tokens / gateway.tokens
        click.echo(
            f"seed {seed}: shadow {found['shadow']:.3f}, verified {found['verified']:.3f}, share {shares[-1]:.3f}; "
            f"shadows took {gateway.shadow_tokens} tokens, {cost:.1%} of the traffic's"
        )
    click.echo(f"share: mean {statistics.mean(shares):.3f}, lowest {min(shares):.3f}")


@learning.command()
@TABLE
@SEEDS
@click.option("--first", type=int, default=0)
def promotion(table: Path, seeds: int, first: int) -> None:
    """A better version is promoted, and a worse one is not."""
    whole = BothEnds.of(table, PROMPTS)
    promoted = refused = 0
    with tempfile.TemporaryDirectory() as folder:
        good = _good(whole, Path(folder))
        for seed in range(first, first + seeds):
            better, units = _tried(whole, seed, "prior", verified(whole))
            worse, seen = _tried(whole, seed, str(good), inverted(whole))
            promoted += better == "serving"
            refused += worse != "serving"
            click.echo(
                f"seed {seed}: the better one is {better} after {units} requests, the worse one {worse} after {seen}"
            )
    click.echo(f"promoted: {promoted} of {seeds} better ones; not promoted: {refused} of {seeds} worse ones")


def inverted(table: BothEnds) -> Says:
    """A verifier that says the opposite of what is so."""
    return lambda prompt, think, key: Report("verifier:suite", 1 - table.answers[prompt][think].score)


def _good(table: BothEnds, folder: Path) -> Path:
    """A router that was learned from verified outcomes of this traffic."""
    with _gateway(table, 1000, verified(table), verified(table)) as gateway:
        gateway.serve(2000)
        gateway.learn()
        made = gateway.versions.read()[MODEL].versions[-1].version
        return Path(shutil.copytree(gateway.versions.artifact(MODEL, made), folder / "good"))


def _tried(table: BothEnds, seed: int, router: str, taught: Says, most: int = 7500) -> tuple[str, int]:
    """A version that was `taught`, judged by verified outcomes: its state in the end, and after how many requests."""
    with _gateway(table, seed, taught, taught, router, canary=0.2) as gateway:
        gateway.serve(1000)
        gateway.learn()
        version = gateway.versions.read()[MODEL].versions[-1].version
        gateway.says = gateway.of_shadow = verified(table)
        seen = 0
        for count in (500, 1500, 2500, 3000):
            gateway.serve(count)
            seen += count
            gateway.learn()
            if gateway.state_of(version) not in ("shadow", "canary") or seen >= most:
                break
        return gateway.state_of(version), seen


@contextmanager
def _gateway(
    table: BothEnds, seed: int, says: Says, of_shadow: Says, router: str = "prior", **learn: float
) -> Iterator[ReplayedGateway]:
    with tempfile.TemporaryDirectory() as folder:
        yield ReplayedGateway(table, Path(folder), seed, says, of_shadow, router=router, learn=dict(learn))


if __name__ == "__main__":
    learning()
