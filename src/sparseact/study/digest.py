"""A digest of the code a stage runs, so that it reruns when, and only when, that code changes.

The workflow manager sees a script but not the modules it imports. This follows the imports from
the source alone (nothing is executed) within the package, and hashes the syntax trees without
docstrings, so that neither comments nor documentation nor unrelated modules move the digest.

The registry of variables is left out: it is one module for all stages, and each stage adds the
digest of its own kinds (:func:`sparseact.study.variables.kind_digest`).
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
_PACKAGE = "sparseact"
_REGISTRY = "sparseact/study/variables.py"


def code_digest(*sources: str | Path) -> str:
    """Hexadecimal digest of some Python files and all of the package that they import.

    Raises
    ------
    FileNotFoundError
        If a file does not exist.
    SyntaxError
        If a file is not Python.
    """
    pending = [Path(source).resolve() for source in sources]
    seen: dict[Path, str] = {}
    while pending:
        path = pending.pop()
        if path not in seen and path != _ROOT / _REGISTRY:
            seen[path], imports = _parse(path)
            pending.extend(imports)
    total = hashlib.sha256()
    for name, digest in sorted((_name(path), digest) for path, digest in seen.items()):
        total.update(f"{name}:{digest}\n".encode())
    return total.hexdigest()[:16]


def _name(path: Path) -> str:
    return path.relative_to(_ROOT).as_posix() if path.is_relative_to(_ROOT) else path.name


@cache
def _parse(path: Path) -> tuple[str, tuple[Path, ...]]:
    tree = ast.parse(path.read_bytes(), filename=str(path))
    imports = tuple(_imported(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:] or [ast.Pass()]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest(), imports


def _imported(tree: ast.AST) -> Iterator[Path]:
    """Files of the package that a module imports, wherever in it; not those only for types."""
    pending = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            pending.extend(node.orelse)
            continue
        pending.extend(ast.iter_child_nodes(node))
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            parts = name.split(".")
            if parts[0] == _PACKAGE:
                for depth in range(1, len(parts) + 1):  # importing a.b runs a/__init__.py too
                    yield from _file_of(parts[:depth])


def _file_of(parts: list[str]) -> Iterator[Path]:
    base = _ROOT.joinpath(*parts)
    for candidate in (base.with_suffix(".py"), base / "__init__.py"):
        if candidate.is_file():
            yield candidate
