"""Imports point down, names in tables are no back door, and every table equals its folder."""

from __future__ import annotations

import ast

import pytest
from sources import PACKAGE, calls, imports, sources

from tinyml.core import registry
from tinyml.core.target import all_targets
from tinyml.export.quantization.precision import all_precisions
from tinyml.pipeline.formats.of_target import formats_there, formats_written

PACKAGES = {"core", "modelfile", "models", "export", "runtimes", "device", "pages"}
PACKAGES |= {"board_scripts", "pipeline", "cli"}
MAY_USE: dict[str, set[str]] = {
    "": {"core", "pipeline"},
    "board_scripts": set(),
    "core": set(),
    "modelfile": {"core"},
    "models": {"core"},
    "export": {"core", "modelfile"},
    "runtimes": {"core", "modelfile"},
    "pages": {"core"},
    "device": {"board_scripts", "core", "runtimes"},
    "pipeline": PACKAGES - {"cli", "pipeline"},
    "cli": {"core", "pages", "pipeline"},
}
# Pairs of packages that import each other. The list may only shrink.
CYCLES: set[tuple[str, str]] = set()


def package_at(parts: tuple[str, ...]) -> str:
    return parts[0] if parts and parts[0] in PACKAGES else ""


def test_imports_point_down() -> None:
    wrong = []
    for path, tree in sources().items():
        here = package_at(path.parts)
        names = [name for name in imports(tree) if name.startswith("tinyml")]
        used = {package_at(tuple(name.split(".")[1:])) for name in names}
        if above := used - {"", here} - MAY_USE[here]:
            wrong.append(f"{path} imports {', '.join(sorted(above))}")
    assert not wrong


def package_of(name: str) -> str:
    """The innermost package that ``name`` is in; the top one is left out."""
    parts = name.split(".")[1:]
    while parts and not (PACKAGE / "/".join(parts)).is_dir():
        parts.pop()
    return ".".join(parts)


def test_a_public_class_name_means_one_thing() -> None:
    places: dict[str, list[str]] = {}
    for path, tree in sources().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(str(path))
    assert not {name: found for name, found in places.items() if len(found) > 1}


def test_no_two_packages_import_each_other_but_those_that_are_known() -> None:
    edges = set()
    for path, tree in sources().items():
        here = ".".join(path.parts[:-1])
        names = [name for name in imports(tree) if name.startswith("tinyml.")]
        edges |= {(here, package_of(name)) for name in names}
    mutual = {(a, b) for a, b in edges if a and a < b and (b, a) in edges}
    assert mutual == CYCLES


def test_the_registry_is_opened_in_pipeline_and_cli_only() -> None:
    """And for precisions next to them: that imports nothing from another package."""
    opened = {
        str(path)
        for path, tree in sources().items()
        if package_at(path.parts) not in ("pipeline", "cli")
        and "registry.load" in {ast.unparse(call.func) for call in calls(tree)}
    }
    assert opened == {"export/quantization/precision.py"}


def test_formats_equal_their_folder() -> None:
    formats = {p.parent.name for p in (PACKAGE / "export" / "formats").glob("*/__init__.py")}
    assert set(registry.FORMATS) == formats
    for name in formats:
        known = registry.load("format", name)
        assert (known.name, known.suffix) == (name, f".{name}")


@pytest.mark.parametrize(
    ("declaration", "table"),
    [("DataSetEntry", registry.DATA_SETS), ("PruningMethod", registry.PRUNING_METHODS)],
)
def test_every_file_that_declares_something_is_in_its_table(
    declaration: str, table: dict[str, str]
) -> None:
    files = {
        "tinyml." + ".".join(path.with_suffix("").parts)
        for path, tree in sources().items()
        if declaration in {ast.unparse(call.func) for call in calls(tree)}
    }
    assert {value.partition(":")[0] for value in table.values()} == files


def test_a_declared_name_is_the_one_in_its_table() -> None:
    for kind in ("model", "data set", "pruning method"):
        for name in registry.TABLES[kind]:
            assert registry.load(kind, name).name == name


def test_precisions_equal_their_folder() -> None:
    files = {p.stem for p in (PACKAGE / "export" / "quantization" / "precisions").glob("*.py")}
    found = {f"tinyml.export.quantization.precisions.{name}" for name in files - {"__init__"}}
    assert {value.partition(":")[0] for value in registry.PRECISIONS.values()} == found
    assert [precision.name for precision in all_precisions()] == list(registry.PRECISIONS)


def test_runtimes_equal_their_folder() -> None:
    modules = {value.partition(":")[0].rpartition(".")[2] for value in registry.RUNTIMES.values()}
    shared = {"__init__", "base", "runner_archive", "delegation", "own_files", "profile_layers"}
    files = {p.stem for p in (PACKAGE / "runtimes").glob("*.py")}
    assert {name for name in files - shared if not name.startswith(("file_", "onnx_"))} == modules


def test_links_equal_their_folder() -> None:
    modules = {value.partition(":")[0].rpartition(".")[2] for value in registry.LINKS.values()}
    files = (PACKAGE / "device").glob("*.py")
    assert {p.stem for p in files if "def open_link(" in p.read_text("utf-8")} == modules


# Where a module is imported by its name: the registry, lazy names of the public interface, the
# steps of an export, a user's module, another project's package, and what `tinyml doctor` tries.
BY_NAME = {"__init__.py", "testing.py", "core/registry.py", "core/subprocesses.py"}
BY_NAME |= {
    "core/worker.py",
    "pipeline/model_sources/user_code.py",
    "runtimes/litert.py",
    "pipeline/import_check.py",
}


def test_no_module_is_imported_by_its_name_past_the_registry() -> None:
    ways = {"importlib.import_module", "import_module", "__import__", "runpy.run_module"}
    found = {path.as_posix() for path, tree in sources().items() if ways & _called(tree)}
    assert found == BY_NAME
    rows = {path.as_posix() for path, tree in sources().items() if "load_row" in _called(tree)}
    assert rows == {"core/registry.py", "runtimes/file_session.py"}


def _called(tree: ast.Module) -> set[str]:
    return {ast.unparse(call.func) for call in calls(tree)}


# What is per format by nature, and the script of a board, which LiteRT runs.
OF_FORMATS = ("export/formats/", "modelfile/", "runtimes/", "board_scripts/")


def test_nobody_else_asks_which_format_a_file_has() -> None:
    found = {
        path.as_posix()
        for path, tree in sources().items()
        if not path.as_posix().startswith(OF_FORMATS) and any(map(_asks, ast.walk(tree)))
    }
    assert not found


def _asks(node: ast.AST) -> bool:
    """``fmt == "onnx"``, ``path.suffix in (".onnx", ...)``, ``path.suffix[1:]`` and the like."""
    of_suffix = isinstance(node, ast.Subscript | ast.Attribute) and ast.unparse(node.value)
    if of_suffix and of_suffix.endswith(".suffix"):
        return isinstance(node, ast.Subscript) or "prefix" in ast.unparse(node)
    if not isinstance(node, ast.Compare | ast.MatchValue):
        return False
    names = set(registry.FORMATS) | {f".{name}" for name in registry.FORMATS}
    return any(isinstance(own, ast.Constant) and own.value in names for own in ast.walk(node))


@pytest.mark.parametrize(
    ("line", "asks"),
    [
        ('fmt == "tflite"', True),
        ('path.suffix in (".onnx", ".tflite")', True),
        ("path.suffix[1:]", True),
        ('path.suffix.removeprefix(".")', True),
        ('path.suffix == ".safetensors"', False),
        ("path.suffix.lower()", False),
        ('path.with_suffix(".onnx")', False),
    ],
)
def test_a_question_about_the_format_is_seen(line: str, asks: bool) -> None:
    assert any(map(_asks, ast.walk(ast.parse(line)))) == asks


@pytest.mark.parametrize("kind", registry.TABLES)
def test_every_name_in_a_table_loads(kind: str) -> None:
    for name in registry.TABLES[kind]:
        assert registry.load(kind, name) is not None


def test_a_runtime_of_every_target_reads_the_formats_that_are_written_for_it() -> None:
    assert set(all_targets()) == {"rpi4", "rpi5", "rpi-zero2w", "android", "xnnpack"}
    for target in all_targets().values():
        assert set(formats_written(target)) <= set(formats_there(target))


def test_no_public_function_is_named_like_a_package() -> None:
    import tinyml

    assert not PACKAGES & set(tinyml.__all__)
