"""The package's source files, each parsed once for all tests that look at them."""

from __future__ import annotations

import ast
import functools
from collections.abc import Mapping
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "tinyml"


@functools.cache
def sources() -> Mapping[Path, ast.Module]:
    """Path relative to the package -> its syntax tree."""
    paths = sorted(PACKAGE.rglob("*.py"))
    trees = {path.relative_to(PACKAGE): ast.parse(path.read_bytes(), path) for path in paths}
    assert len(trees) > 250, "the package is somewhere else"
    return trees


def imports(tree: ast.Module) -> set[str]:
    """Every module that a file imports, lazily or not: ``a.b``, and ``a.b.c`` of ``from a.b``."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def calls(tree: ast.Module) -> list[ast.Call]:
    """Every call of a file."""
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
