"""What stands around a question makes a request novel only for artifacts that were trained to read it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from router_model.adapting import calibrate
from router_model.data import outcome_reader
from router_model.features.request import VIEWS
from router_model.model import artifact_reader, predict
from router_model.model.request_encoding import LEAST_TERMS, views_read
from router_model.model.scores import Scores
from tests.router_model import tables

SYSTEM = {
    "role": "system",
    "content": "You answer customers of a bakery in a harbour town, briefly, warmly and without ever promising a date.",
}
EARLIER = [
    {"role": "user", "content": "Which loaf keeps longest?"},
    {"role": "assistant", "content": "Rye sourdough, wrapped in linen, about six days."},
]
TOOLS = [
    {"type": "function", "function": {"name": f"find_{what}", "description": f"Looks up a {what} of the shop."}}
    for what in ("price", "delivery", "allergen")
]


def views_of(question: str) -> dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]] | None]]:
    asked = {"role": "user", "content": question}
    return {"system": ([SYSTEM, asked], None), "earlier": ([*EARLIER, asked], None), "tools": ([asked], TOOLS)}


def read(known: predict.Predictor, view: tuple[Any, Any]) -> tuple[float, Scores]:
    reading = known.read(*view)
    return reading.novelty, known.scores(reading)


def test_views_that_the_training_data_did_not_have_make_nothing_novel(tmp_path: Path) -> None:
    """Neither for the shipped router nor for one that an operator calibrated on bare prompts."""
    data = tables.write(tables.rows(n=80, models=("own",)), tmp_path / "own.parquet")
    own = calibrate.calibrate(artifact_reader.load("prior"), outcome_reader.read([data]), "own", say=lambda line: None)
    for known in (predict.load("prior"), predict.Predictor(own)):
        for question in ("Prove that there are infinitely many primes.", "thanks, see you", "Übersetze: guten Morgen"):
            alone, forecast = read(known, ([{"role": "user", "content": question}], None))
            for name, view in views_of(question).items():
                novelty, scores = read(known, view)
                assert novelty == alone, name
                assert np.allclose(scores.p_correct, forecast.p_correct, atol=0.1), name


def test_few_terms_of_a_view_are_a_handful_of_wordings() -> None:
    def terms(view: int, n: int) -> list[bytes]:
        return [VIEWS[view] + b"t%d" % i for i in range(n)]

    assert views_read(terms(0, 3)) == {0} == views_read([])
    assert views_read([*terms(0, 3), *terms(1, LEAST_TERMS), *terms(2, LEAST_TERMS - 1)]) == {0, 1}


def test_a_system_prompt_or_tools_do_not_hide_a_familiar_task_from_tiny() -> None:
    known = predict.load("tiny")
    question = "Swap A and B, then add 12 and 55."
    alone, _ = read(known, ([{"role": "user", "content": question}], None))
    for name in ("system", "tools"):
        assert read(known, views_of(question)[name])[0] <= alone, name
    odd = re.sub("[aeiou]", "q", question)
    assert read(known, ([{"role": "user", "content": odd}], None))[0] > alone
