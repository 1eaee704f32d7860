"""What a tool or a benchmark imports from the package exists: few of them run in CI."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = [
    path for folder in ("tools", "benchmarks") for path in sorted((ROOT / folder).rglob("*.py"))
]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_it_imports_exists(path: Path) -> None:
    missing = []
    for node in ast.walk(ast.parse(path.read_bytes(), path)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tinyml"):
            module = importlib.import_module(str(node.module))
            missing += [
                f"{node.module}.{alias.name}"
                for alias in node.names
                if not hasattr(module, alias.name) and not _is_module(module.__name__, alias.name)
            ]
    assert not missing


def _is_module(package: str, name: str) -> bool:
    return importlib.util.find_spec(f"{package}.{name}") is not None
