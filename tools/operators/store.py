"""Results, a JSON file a cell, and the key that tells whether one still holds."""

from __future__ import annotations

import functools
import hashlib
import inspect
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from operators.cell import FORMATS, PRECISIONS, Cell, load
from operators.row import Row
from tinyml.core.errors import InputError
from tinyml.core.files import write_json
from tinyml.core.process import tied
from tinyml.core.typed_json import to_json
from tinyml.core.versions import version_of
from tinyml.pipeline.steps.assemble import MAKERS

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "build" / "operators"
# What an export runs, and this tool without the rows.
SOURCES = ("core", "export", "modelfile", "pipeline", "runtimes")
OWN = ("cell.py", "export_row.py", "networks.py", "row.py")


def code_key() -> str:
    """Of the package, the tool and the versions of what they use."""
    own = hashlib.sha256()
    for path in _files():
        own.update(path.read_bytes())
    own.update("".join(f"{name} {version_of(name)}\n" for name in MAKERS).encode())
    return own.hexdigest()


def _files() -> Iterable[Path]:
    for package in SOURCES:
        yield from sorted((ROOT / "tinyml" / package).rglob("*.py"))
    yield from (Path(__file__).with_name(name) for name in OWN)


@functools.cache
def commit() -> str:
    """The short name of the checked-out commit; empty outside of git."""
    told = subprocess.run(
        tied(["git", "describe", "--always", "--exclude=*", "--dirty=+"]),
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    return told.stdout.strip()


def key_of(row: Row, code: str) -> str:
    """What a result of ``row`` depends on: ``code``, of `code_key`, and the file of the row."""
    source = Path(inspect.getsourcefile(row.build) or "")
    text = source.read_text(encoding="utf-8") if source.is_relative_to(ROOT / "tools") else ""
    return hashlib.sha256(f"{code}{row.id}{row.shape}{text}".encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Store:
    """``any_key``: results of other versions hold too."""

    folder: Path
    any_key: bool = False

    def cells(self, row: Row, key: str) -> dict[tuple[str, str], Cell]:
        """(format, precision) -> the result, for those that still hold."""
        found = {}
        for fmt in FORMATS:
            for precision in PRECISIONS:
                cell = self._read(Cell(row.id, fmt, precision, "crash"))
                if cell is not None and (self.any_key or cell.key == key):
                    found[fmt, precision] = cell
        return found

    def save(self, cell: Cell, key: str) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        saved = replace(cell, key=key, commit=commit())
        write_json(self.folder / cell.file, to_json(saved))

    def _read(self, cell: Cell) -> Cell | None:
        path = self.folder / cell.file
        try:
            return load(path) if path.is_file() else None
        except InputError:
            return None
