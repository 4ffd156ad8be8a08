"""A digest of the code a stage runs, so that it reruns when, and only when, that code changes.

The workflow manager sees a script but not the modules it imports. This follows the imports from
the source alone (nothing is executed), within the package and to modules beside the importing one,
and hashes the syntax trees without docstrings, so that neither comments nor documentation nor
unrelated modules move the digest. Files that are not Python count by their bytes.

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
    """Hexadecimal digest of some files and all of the package that they import.

    Raises
    ------
    FileNotFoundError
        If a file does not exist.
    SyntaxError
        If a Python file is none, or imports relative to itself: the digest does not follow that.
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
    if path.suffix != ".py":
        return hashlib.sha256(path.read_bytes()).hexdigest(), ()
    tree = ast.parse(path.read_bytes(), filename=str(path))
    imports = tuple(_imported(tree, path))
    for node in _walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:] or [ast.Pass()]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest(), imports


def _walk(node: ast.AST, *, types: bool = True) -> Iterator[ast.AST]:
    """A node and all statements below it, those for types alone if asked for.

    No expression holds any.
    """
    yield node
    for field in ("body", "orelse", "handlers", "finalbody", "cases"):
        if field == "body" and not types and _is_for_types(node):
            continue
        below = getattr(node, field, ())
        if isinstance(below, list):
            for one in below:
                yield from _walk(one, types=types)


def _is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def _imported(tree: ast.AST, path: Path) -> Iterator[Path]:
    """Files that a module imports of the package or from its own folder; not only for types."""
    for node in _walk(tree, types=False):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise SyntaxError(f"{path}, line {node.lineno}: import from {_PACKAGE}, by name")
            names = [f"{node.module}", *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            parts = name.split(".")
            beside = path.with_name(f"{parts[0]}.py")
            if not path.is_relative_to(_ROOT / _PACKAGE) and beside.is_file():
                yield beside
            if parts[0] == _PACKAGE:
                for depth in range(1, len(parts) + 1):  # importing a.b runs a/__init__.py too
                    yield from _file_of(parts[:depth])


def _file_of(parts: list[str]) -> Iterator[Path]:
    base = _ROOT.joinpath(*parts)
    for candidate in (base.with_suffix(".py"), base / "__init__.py"):
        if candidate.is_file():
            yield candidate
