"""Imports point down, names in tables are no back door, and every table equals its folder."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tinyml import registry
from tinyml.target import all_targets
from tinyml.tolerance import POLICY_OF_PRECISION

PACKAGE = Path(__file__).parents[1] / "tinyml"
ROOMS = {"models", "export", "runtimes", "device", "pages", "pipeline", "cli"}
MAY_USE = {
    "": set(),
    "models": set(),
    "export": set(),
    "runtimes": set(),
    "pages": set(),
    "device": {"runtimes"},
    "pipeline": ROOMS - {"cli", "pipeline"},
    "cli": {"pipeline"},
}


def imports(path: Path) -> Iterator[str]:
    """Every module of tinyml that ``path`` imports, lazily or not."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def room(parts: tuple[str, ...]) -> str:
    return parts[0] if parts and parts[0] in ROOMS else ""


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    here = room(path.relative_to(PACKAGE).parts)
    used = {room(tuple(name.split(".")[1:])) for name in imports(path) if name.startswith("tinyml")}
    assert used - {"", here} <= MAY_USE[here]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_the_registry_is_opened_in_pipeline_and_cli_only(path: Path) -> None:
    calls = {
        ast.unparse(node.func)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
    }
    if room(path.relative_to(PACKAGE).parts) not in ("pipeline", "cli"):
        assert "registry.load" not in calls


def test_data_sets_and_writers_equal_their_folders() -> None:
    not_sets = {"__init__", "options", "audio", "recordings"}
    not_sets |= {"images", "decode", "image_cache", "image_files", "augment"}
    sets = {p.stem for p in (PACKAGE / "models" / "data").glob("*.py")} - not_sets
    assert set(registry.DATA_SETS) == sets
    writers = {p.stem.removeprefix("write_") for p in (PACKAGE / "export").glob("write_*.py")}
    assert set(registry.WRITERS) == writers


def test_precisions_equal_their_folder() -> None:
    files = {p.stem for p in (PACKAGE / "export" / "precision").glob("*.py")}
    found = {
        f"tinyml.export.precision.{name}"
        for name in files - {"__init__", "plan", "half", "findings"}
    }
    assert set(registry.PRECISIONS.values()) == found
    assert set(registry.PRECISIONS) == set(POLICY_OF_PRECISION)


def test_runtimes_equal_their_folder() -> None:
    modules = {value.partition(":")[0].rpartition(".")[2] for value in registry.RUNTIMES.values()}
    shared = {"__init__", "base", "eager", "runner", "cut", "inspect_onnx", "inspect_tflite"}
    shared |= {"delegation", "in_child", "infer_shapes"}
    shared |= {"verify_flatbuffer", "verify_protobuf"}
    files = {p.stem for p in (PACKAGE / "runtimes").glob("*.py")}
    assert {name for name in files - shared if not name.startswith(("file_", "onnx_"))} == modules


@pytest.mark.parametrize("kind", registry.TABLES)
def test_every_name_in_a_table_loads(kind: str) -> None:
    for name in registry.TABLES[kind]:
        assert registry.load(kind, name) is not None


def test_every_target_offers_formats_that_a_runtime_reads() -> None:
    assert set(all_targets()) == {"rpi4", "rpi5", "rpi-zero2w", "android", "xnnpack"}
    for target in all_targets().values():
        assert set(target.formats) <= set(registry.RUNTIME_OF_FORMAT)
        assert {registry.RUNTIME_OF_FORMAT[f] for f in target.formats} <= set(target.runtimes)


def test_no_public_function_is_named_like_a_room() -> None:
    import tinyml

    assert not ROOMS & set(tinyml.__all__)
