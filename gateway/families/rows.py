"""The family table. A cell holds only what a model's own template or engine is documented to obey."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.types import Family

ROWS = (
    Family(
        name="qwen3",
        about="hybrid: a template switch turns thinking on and off, the engine enforces the budget",
        hybrid=True,
        off={"chat_template_kwargs": {"enable_thinking": False}},
        on={"chat_template_kwargs": {"enable_thinking": True}},
        budget_field="thinking_token_budget",
    ),
    Family(
        name="qwen3-2507",
        about="two models: Instruct never thinks, Thinking always does and takes a budget",
        hybrid=False,
        budget_field="thinking_token_budget",
    ),
    Family(
        name="plain",
        about="unknown to the gateway: the client's effort fields pass through unchanged and nothing is enforced",
        hybrid=True,
        passes_through=True,
    ),
)

FAMILIES: Mapping[str, Family] = {row.name: row for row in ROWS}
