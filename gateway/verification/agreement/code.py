"""Whether two answers have the same code: Python by its syntax tree, other languages by their text.

Different code may do the same, so that nothing is said of it.
"""

from __future__ import annotations

import ast
import re
import textwrap

_BLOCK = re.compile(r"^[ \t]*```[ \t]*([\w+#-]*)[^\n]*\n(.*?)^[ \t]*```[ \t]*$", re.DOTALL | re.MULTILINE)
_PYTHON = ("", "python", "py", "python3")
# Beyond this, parsing takes longer than it is worth.
_MOST_CHARACTERS = 20_000


def compare(one: str, other: str) -> bool | None:
    first, second = _last_block(one), _last_block(other)
    if first is None or second is None:
        return None
    (language, code), (other_language, other_code) = first, second
    if code.split() == other_code.split():
        return True
    if language not in _PYTHON or other_language not in _PYTHON:
        return None
    tree = normal_python(code)
    return True if tree is not None and tree == normal_python(other_code) else None


def _last_block(text: str) -> tuple[str, str] | None:
    blocks: list[tuple[str, str]] = _BLOCK.findall(text)
    return None if not blocks else (blocks[-1][0].lower(), blocks[-1][1])


def normal_python(code: str) -> str | None:
    """The syntax tree as text, without comments, docstrings and annotations, and with the names of parameters and
    variables of functions in the order in which they appear. None: it is no Python, or too much of it.
    """
    if len(code) > _MOST_CHARACTERS:
        return None
    try:
        tree = ast.parse(textwrap.dedent(code))
        return ast.dump(_Plain().visit(tree))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


class _Plain(ast.NodeTransformer):
    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        outer = self._names
        stored = (one.id for one in ast.walk(node) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store))
        parameters = (one.arg for one in ast.walk(node.args) if isinstance(one, ast.arg))
        own = dict.fromkeys((*parameters, *stored))
        self._names = {**outer, **{name: f"_{len(outer) + at}" for at, name in enumerate(own)}}
        node.returns = None
        node.body = _without_docstring(node.body)
        self.generic_visit(node)
        self._names = outer
        return node

    def visit_Module(self, node: ast.Module) -> ast.AST:
        node.body = _without_docstring(node.body)
        return self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        node.id = self._names.get(node.id, node.id)
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.arg, node.annotation = self._names.get(node.arg, node.arg), None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        self.generic_visit(node)
        return node if node.value is None else ast.Assign(targets=[node.target], value=node.value)


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    first = body[0] if body else None
    is_text = (
        isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    )
    return (body[1:] or [ast.Pass()]) if is_text else body
