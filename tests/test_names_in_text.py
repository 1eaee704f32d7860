"""Modules, files and attributes that docs, docstrings and comments name exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "tinyml"
# The changelog speaks of what was; this file names what is not there.
LEFT_OUT = {"CHANGELOG.md", "tests/test_names_in_text.py"}
FOLDERS = "tinyml|tests|tools|docs|examples|benchmarks"
INSIDE = "|".join(sorted(path.name for path in PACKAGE.iterdir() if path.is_dir()))
DOTTED = re.compile(r"(?<![\w./-])tinyml((?:\.[A-Za-z_]\w*)+)")
FILE = re.compile(rf"(?<![\w./$-])((?:{FOLDERS})/[\w./-]*\w)")
IN_PACKAGE = re.compile(rf"`((?:{INSIDE})/[\w./]*\w)`")
# Placeholders in a table of CONTRIBUTING.md, patterns, and a file of onnxruntime's sources.
NO_FILE = re.compile(r"\b(?:NAME|CLAIM)\b|\w+/r$|docs/Versioning\.md|docs/adr/\d{4}$")


@cache
def text(path: Path) -> str:
    return path.read_text("utf-8")


@cache
def files() -> tuple[str, ...]:
    listed = [
        path.relative_to(ROOT).as_posix()
        for folder in (*FOLDERS.split("|"), "")
        for path in ((ROOT / folder).rglob("*") if folder else ROOT.glob("*"))
        if path.suffix in {".py", ".md", ".sh", ".toml"} or path.name == "Makefile"
    ]
    return tuple(name for name in listed if name not in LEFT_OUT and "__pycache__" not in name)


def has(file: Path, name: str) -> bool:
    return file.is_file() and re.search(rf"\b{name}\b", text(file)) is not None


def resolves(parts: list[str]) -> bool:
    """``tinyml.PARTS`` is a package, a module, or a name in one."""
    place = PACKAGE
    for at, part in enumerate(parts):
        if (place / part).is_dir():
            place /= part
        elif (module := place / f"{part}.py").is_file():
            return at + 1 == len(parts) or has(module, parts[at + 1])
        else:
            return part.startswith("__") or has(place / "__init__.py", part)
    return True


def exists(name: str, *places: Path) -> bool:
    return any((place / name).exists() or (place / f"{name}.py").exists() for place in places)


def unknown(line: str) -> Iterator[str]:
    yield from (hit[0] for hit in DOTTED.finditer(line) if not resolves(hit[1][1:].split(".")))
    for pattern, places in ((FILE, (ROOT,)), (IN_PACKAGE, (ROOT, PACKAGE))):
        names = (hit[1] for hit in pattern.finditer(line))
        yield from (n for n in names if not NO_FILE.search(n) and not exists(n, *places))


def test_names_in_text_exist() -> None:
    wrong = [
        f"{name}:{number}: {found}"
        for name in files()
        for number, line in enumerate(text(ROOT / name).splitlines(), 1)
        for found in unknown(line)
    ]
    assert not wrong, "\n" + "\n".join(wrong)


def test_a_name_that_is_gone_is_found() -> None:
    assert list(unknown("see `tinyml.core.nowhere` and `tinyml.core.errors.TinymlError`")) == [
        "tinyml.core.nowhere"
    ]
    assert list(unknown("`tinyml/core/nowhere.py`, `core/errors.py`, `core/nowhere.py`")) == [
        "tinyml/core/nowhere.py",
        "core/nowhere.py",
    ]
