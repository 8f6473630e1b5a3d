"""The task suite: problems with graded difficulty, many phrasings and verifiers, reproducible from a seed.

The tiny reasoner knows this suite and nothing else. Three things are kept apart, so that figures mean something:
problems that no model trained on (`held-out`), phrasings that no router trained on (`router_new_phrasing`) and whole
families that no router trained on (`ROUTER_NEW_FAMILIES`).
"""

from router_model.tasks.prompt import Kind, Problem, Prompt, Task
from router_model.tasks.suite import (
    FAMILIES,
    ROUTER_NEW_FAMILIES,
    draw,
    generate,
    is_held_out,
    read_jsonl,
    router_new_phrasing,
    write_jsonl,
)
from router_model.tasks.verify import verify

__all__ = [
    "FAMILIES",
    "ROUTER_NEW_FAMILIES",
    "Kind",
    "Problem",
    "Prompt",
    "Task",
    "draw",
    "generate",
    "is_held_out",
    "read_jsonl",
    "router_new_phrasing",
    "verify",
    "write_jsonl",
]
