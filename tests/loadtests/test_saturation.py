"""The comparison of a saturated engine with and without a price: how it counts, and a short run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from loadtests.saturation import FACTORS, Phase, Sample, ratios, summed


def test_only_the_second_half_of_a_phase_counts() -> None:
    answered = [
        Sample(sent=1.0, status=200, answered=4.0, score=1.0, thinking=90),
        Sample(sent=2.0, status=200, answered=6.0, score=1.0, thinking=40),
        Sample(sent=6.0, status=200, answered=9.0, score=0.0, thinking=20),
    ]
    refused = [Sample(sent=5.0, status=429), Sample(sent=7.0, status=503)]
    given_up = Sample(sent=8.0)
    found = summed(Phase("priced", 2.0, samples=[*answered, *refused, given_up]), 10.0)
    assert (found.right, found.answered, found.thinking) == (0.2, 0.4, 30)
    assert (found.refused, found.first_refused_s, found.before_refusal) == (2, 5.0, 40)
    nothing = summed(Phase("free", 2.0), 10.0)
    assert (nothing.right, nothing.refused, nothing.first_refused_s) == (0.0, 0, None)


def test_ratios_are_those_of_the_means_over_rounds() -> None:
    phases = [
        Phase(name, factor, right=right) for factor in FACTORS for name, right in (("free", 2.0), ("priced", 3.0))
    ]
    phases += [Phase("free", 2.0, right=4.0), Phase("priced", 2.0, right=6.0)]
    assert ratios(phases) == {"1.2": 1.5, "1.5": 1.5, "2": 1.5}


@pytest.mark.long
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="what a process uses is read from /proc")
def test_a_short_run_reports_every_phase(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    options = ["--seconds", "2", "--rounds", "1", "--places", "2", "--queue", "8", "--json", str(file)]
    command = [sys.executable, "-m", "loadtests", "saturation", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(file.read_text("utf-8"))
    assert found["capacity"] > 0 and len(found["phases"]) == 6 and set(found["ratios"]) == {"1.2", "1.5", "2"}
