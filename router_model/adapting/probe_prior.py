"""`python -m router_model.adapting.probe_prior`: fit the generic probe, and say what it does for models left out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np

from router_model import extras
from router_model.data import output_files

KEEP = 0.8


@click.command()
@click.option("--data", "tables", type=click.Path(exists=True, dir_okay=False, path_type=Path), multiple=True)
@click.option("--spoken", "files", type=click.Path(exists=True, dir_okay=False, path_type=Path), multiple=True)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True)
def main(tables: tuple[Path, ...], files: tuple[Path, ...], out: Path) -> None:
    """Fit the generic probe to tables of probes, and compare with stated confidences (JSON lines)."""
    extras.need("learn")
    from router_model.adapting import probe_samples

    try:
        samples = probe_samples.read(tables)
        probe, about = build(samples)
    except (ValueError, OSError) as error:
        raise click.ClickException(str(error)) from error
    if files:
        about["spoken"] = figures_of(probe_samples.spoken(files), "logistic: mean token")
    for line in lines(about):
        click.echo(line)
    out.mkdir(parents=True, exist_ok=True)
    _write(out / "probe.json", json.dumps(probe.described(), indent=1) + "\n")
    _write(out / "figures.json", json.dumps(about, indent=1) + "\n")


def build(samples: Any) -> tuple[Any, dict[str, Any]]:
    """The generic probe, by the curve with the least Brier score on families left out, and all figures."""
    from router_model.adapting import probe_curve, probe_figures

    scores = {}
    for name, learner in probe_figures.LEARNERS.items():
        forecast = probe_figures.left_out(samples, learner)
        scores[name] = probe_figures.brier(forecast, samples)
    curves = {name: scores[f"logistic: {name}"] for name in probe_figures.CURVES}
    best = min(curves, key=lambda name: curves[name])
    fitted = probe_curve.fit(samples, probe_figures.CURVES[best])
    digest = hashlib.sha256(json.dumps(fitted.described(), sort_keys=True).encode()).hexdigest()[:8]
    named = type(fitted)(**{n: getattr(fitted, n) for n in fitted.__slots__} | {"version": f"generic-probe-{digest}"})
    about = {"brier": scores, "chosen": best, "left_out": figures_of(samples, f"logistic: {best}")}
    about["bounds"] = bounds_of(samples, probe_figures.CURVES[best])
    return named, about


def figures_of(samples: Any, name: str) -> dict[str, Any]:
    """Per family of models that was left out: AUROC, ECE and Brier score with 95 % intervals, and recovered gain."""
    from router_model.adapting import probe_figures
    from router_model.evaluation import metrics

    forecast = probe_figures.left_out(samples, probe_figures.LEARNERS[name])
    figures: dict[str, Callable[..., float]] = {
        "auroc": lambda p, y: metrics.auc(p, y > 0.5),
        "ece": metrics.ece,
        "brier": probe_figures.squared_error,
    }
    found = {}
    for family in np.unique(samples.relatives):
        own = samples.relatives == family
        part, p = samples.where(own), forecast[own]
        found[str(family)] = {
            "probes": len(part),
            "right": float(part.right.mean()),
            **{figure: probe_figures.interval(of, p, part.right) for figure, of in figures.items()},
            "token_apgr": probe_figures.recovered(p, part),
        }
    return found


def bounds_of(samples: Any, chosen: tuple[str, ...]) -> dict[str, Any]:
    """Per family left out: how often the lower bound holds, and what is kept by it and by the curve itself."""
    from router_model.adapting import probe_curve, probe_figures

    found = {}
    for family in np.unique(samples.relatives):
        new = samples.relatives == family
        part = samples.where(new)
        curve = probe_curve.fit(samples.where(~new), chosen)
        logits = probe_curve.logits(curve, part)
        bound = np.array([curve.bound(logit) for logit in logits])
        found[str(family)] = {
            "holds": probe_figures.covered(bound, part),
            "kept": probe_figures.kept(bound, part, KEEP),
            "kept_by_curve": probe_figures.kept(1 / (1 + np.exp(-logits)), part, KEEP),
        }
    return found


def lines(about: dict[str, Any]) -> list[str]:
    """All figures, for people."""
    said = [f"Brier score, families left out, {name}: {score:.3f}" for name, score in about["brier"].items()]
    said.append(f"chosen: {about['chosen']}")
    for title in ("left_out", "spoken"):
        for family, of in about.get(title, {}).items():
            three = ", ".join(f"{n} {of[n][0]:.3f} [{of[n][1]:.3f}, {of[n][2]:.3f}]" for n in ("auroc", "ece", "brier"))
            said.append(
                f"{title} {family}: {of['probes']} probes, {of['right']:.1%} right; {three}, "
                f"APGR {of['token_apgr']:.3f}"
            )
    for family, of in about["bounds"].items():
        share, right = of["kept"]
        more, less = of["kept_by_curve"]
        said.append(
            f"bound, {family} left out: holds for {of['holds']:.0%} of kinds; kept at {KEEP:g}: {share:.1%}, of which "
            f"{right:.1%} right; by the curve alone {more:.1%}, {less:.1%} right"
        )
    return said


def _write(path: Path, text: str) -> None:
    output_files.put_by(path, lambda new: new.write_text(text, "utf-8"))


if __name__ == "__main__":
    main()
