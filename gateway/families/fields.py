"""The fields in which clients of any API name an effort, as dotted names."""

from __future__ import annotations

LEVEL_FIELDS = (
    "reasoning_effort",
    "reasoning.effort",
    "chat_template_kwargs.reasoning_effort",
    "chat_template_kwargs.thinking_effort",
)
# In tokens; -1 is unlimited.
BUDGET_FIELDS = (
    "thinking_token_budget",
    "thinking_budget",
    "thinking.budget_tokens",
    "reasoning.max_tokens",
    "chat_template_kwargs.thinking_budget",
    "custom_params.thinking_budget",
    "extra_body.google.thinking_config.thinking_budget",
)
SWITCH_FIELDS = (
    "chat_template_kwargs.enable_thinking",
    "chat_template_kwargs.thinking",
    "enable_thinking",
    "reasoning.enabled",
    "thinking.type",
    "chat_template_kwargs.thinking_mode",
)
# Not a boolean, but `enabled` or `disabled`.
SWITCH_WORD_FIELDS = ("thinking.type", "chat_template_kwargs.thinking_mode")
# Whether the client wants the reasoning hidden.
HIDE_FIELD = "reasoning.exclude"
# All of them are removed from the body before the family's own fields are added.
EFFORT_FIELDS = (
    "reasoning_effort",
    "reasoning",
    "thinking",
    "thinking_token_budget",
    "thinking_budget",
    "enable_thinking",
    "chat_template_kwargs.reasoning_effort",
    "chat_template_kwargs.thinking_effort",
    "chat_template_kwargs.thinking_budget",
    "chat_template_kwargs.enable_thinking",
    "chat_template_kwargs.thinking",
    "chat_template_kwargs.thinking_mode",
    "custom_params.thinking_budget",
    "extra_body.google.thinking_config",
)
