"""The task suite: problems with graded difficulty, many phrasings and verifiers, reproducible from a seed.

The tiny reasoner is trained on this suite only. For valid evaluation, some problems are excluded from the training of
models (`held-out`), and some phrasings (`router_new_phrasing`) and whole families (`ROUTER_NEW_FAMILIES`) from the
training of routers.
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
