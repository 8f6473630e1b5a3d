"""Renders an evaluation for a terminal, from `report.txt.jinja`."""

from __future__ import annotations

from typing import Any

from router_model.rendering import render

_COLUMNS = (
    ("apgr", "APGR"),
    ("recovered_area", "of oracle"),
    ("recovered_of_ceiling", "of ceiling"),
    ("token_apgr", "token APGR"),
    ("recovered_token_area", "of oracle"),
    ("cpt50", "CPT50"),
    ("cpt80", "CPT80"),
    ("aiq", "AIQ"),
    ("token_aiq", "token AIQ"),
)


def text(result: dict[str, Any]) -> str:
    """The whole evaluation as lines for a terminal."""
    shown = columns(result)
    blocks = [[(key, title) for key, title in shown if ("token" in key) == by_tokens] for by_tokens in (False, True)]
    rendered = render(
        "router_model.evaluation",
        "report.txt.jinja",
        result=result,
        titles=dict(_COLUMNS),
        blocks=blocks,
        rankings=rankings(result),
    )
    return rendered.removesuffix("\n")


def columns(result: dict[str, Any]) -> list[tuple[str, str]]:
    """The keys and titles of the ranking figures in this evaluation."""
    rows = [row for _, row in rankings(result)]
    return [(key, title) for key, title in _COLUMNS if any(row.get(key) is not None for row in rows)]


def rankings(result: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The router and every baseline."""
    return [("router", result), *result["baselines"].items()]
