"""The card of a version that was learned from traffic: from which outcomes of which sources."""

from __future__ import annotations

from router_model.learning.learner import Learned
from router_model.rendering import render
from router_model.training import card


def text(made: Learned) -> str:
    notes = render("router_model.learning", "sources.md.jinja", about=made.about)
    return card.text(made.artifact, ["recorded traffic, known by features alone"], notes)
