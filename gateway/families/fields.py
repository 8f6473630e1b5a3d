"""The fields in which clients name an effort, whatever API they were written for; a dot goes one object deeper."""

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
# Not true or false, but a word: `enabled` or `disabled`.
SWITCH_WORD_FIELDS = ("thinking.type", "chat_template_kwargs.thinking_mode")
# Whether the client does not want to see the thought.
HIDE_FIELD = "reasoning.exclude"
# All of it goes out of the body before the family's own words come in.
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
