"""Imports point down, names in tables are no back door, and every table equals its folder."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from sources import PACKAGE, calls, imports, sources

from tinyml.core import registry
from tinyml.core.target import all_targets
from tinyml.export.quantization.precision import all_precisions

ROOMS = {"core", "modelfile", "models", "export", "runtimes", "device", "pages"}
ROOMS |= {"board_scripts", "pipeline", "cli"}
MAY_USE: dict[str, set[str]] = {
    "": {"core", "pipeline"},
    "board_scripts": set(),
    "core": set(),
    "modelfile": {"core"},
    "models": {"core"},
    "export": {"core", "modelfile"},
    "runtimes": {"core", "modelfile"},
    "pages": {"core"},
    "device": {"core", "runtimes"},
    "pipeline": ROOMS - {"cli", "pipeline"},
    "cli": {"core", "pages", "pipeline"},
}
# Pairs of packages that import each other. The list may only shrink.
CYCLES = {
    ("export", "export.quantization"),
}


def room(parts: tuple[str, ...]) -> str:
    return parts[0] if parts and parts[0] in ROOMS else ""


def test_imports_point_down() -> None:
    wrong = []
    for path, tree in sources().items():
        here = room(path.parts)
        names = [name for name in imports(tree) if name.startswith("tinyml")]
        used = {room(tuple(name.split(".")[1:])) for name in names}
        if above := used - {"", here} - MAY_USE[here]:
            wrong.append(f"{path} imports {', '.join(sorted(above))}")
    assert not wrong


def package_of(name: str) -> str:
    """The innermost package that ``name`` is in; the top one is left out."""
    parts = name.split(".")[1:]
    while parts and not (PACKAGE / "/".join(parts)).is_dir():
        parts.pop()
    return ".".join(parts)


def test_no_two_packages_import_each_other_but_those_that_are_known() -> None:
    edges = set()
    for path, tree in sources().items():
        here = ".".join(path.parts[:-1])
        names = [name for name in imports(tree) if name.startswith("tinyml.")]
        edges |= {(here, package_of(name)) for name in names}
    mutual = {(a, b) for a, b in edges if a and a < b and (b, a) in edges}
    assert mutual == CYCLES


def test_the_registry_is_opened_in_pipeline_and_cli_only() -> None:
    """And for precisions next to them: that imports nothing from another room."""
    opened = {
        str(path)
        for path, tree in sources().items()
        if room(path.parts) not in ("pipeline", "cli")
        and "registry.load" in {ast.unparse(call.func) for call in calls(tree)}
    }
    assert opened == {"export/quantization/precision.py"}


def test_data_sets_and_writers_equal_their_folders() -> None:
    not_sets = {"__init__", "options", "audio", "recordings"}
    not_sets |= {"images", "decode", "image_cache", "image_files", "augment"}
    sets = {p.stem for p in (PACKAGE / "models" / "data").glob("*.py")} - not_sets
    assert set(registry.DATA_SETS) == sets
    writers = {p.parent.name for p in (PACKAGE / "export" / "formats").glob("*/write.py")}
    assert set(registry.WRITERS) == writers


def test_every_file_that_declares_a_pruning_method_is_in_its_table() -> None:
    declared = {
        f"tinyml.models.pruning.{path.stem}"
        for path, tree in sources().items()
        if path.parent == Path("models/pruning")
        and "PruningMethod" in {ast.unparse(call.func) for call in calls(tree)}
    }
    assert {value.partition(":")[0] for value in registry.PRUNING_METHODS.values()} == declared


def test_precisions_equal_their_folder() -> None:
    files = {p.stem for p in (PACKAGE / "export" / "quantization" / "precisions").glob("*.py")}
    found = {f"tinyml.export.quantization.precisions.{name}" for name in files - {"__init__"}}
    assert {value.partition(":")[0] for value in registry.PRECISIONS.values()} == found
    assert [precision.name for precision in all_precisions()] == list(registry.PRECISIONS)


def test_runtimes_equal_their_folder() -> None:
    modules = {value.partition(":")[0].rpartition(".")[2] for value in registry.RUNTIMES.values()}
    shared = {"__init__", "base", "runner", "delegation", "in_child"}
    files = {p.stem for p in (PACKAGE / "runtimes").glob("*.py")}
    assert {name for name in files - shared if not name.startswith(("file_", "onnx_"))} == modules


def test_links_equal_their_folder() -> None:
    """But for the emulated board's: a tool builds the board that it starts commands on."""
    modules = {value.partition(":")[0].rpartition(".")[2] for value in registry.LINKS.values()}
    shared = {"__init__", "link", "measure", "emulated"}
    assert {p.stem for p in (PACKAGE / "device").glob("*.py")} - shared == modules


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
