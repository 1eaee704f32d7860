"""Which folder is a bundle: what `tinyml export` may replace, and where nothing else is written."""

from __future__ import annotations

import os
from pathlib import Path

from tinyml.core.bundle import MANIFEST
from tinyml.core.errors import TinymlError, UsageError
from tinyml.core.files import resolved
from tinyml.core.typed_json import load_json


def foreign_files(folder: Path) -> list[str]:
    """Names in ``folder`` that no export wrote: all of them where it is not a bundle."""
    written = written_files(folder)
    if written is None:
        return sorted(os.listdir(folder))
    found = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    return sorted({str(path.relative_to(folder)) for path in found} - written)


def written_files(folder: Path) -> set[str] | None:
    """Names of a bundle's files, its manifest's own too; ``None``: it is not a bundle."""
    try:
        data = load_json(folder / MANIFEST)
    except TinymlError:
        return None
    ours = isinstance(data, dict) and isinstance(data.get("schema"), int)
    if not ours or not isinstance(data.get("files"), dict) or "models" not in data:
        return None
    return {MANIFEST, *data["files"]}


def bundle_around(path: Path) -> Path | None:
    """The innermost bundle that ``path`` lies in, at any level."""
    return next((own for own in resolved(path).parents if written_files(own) is not None), None)


def check_outside(path: Path | None) -> None:
    """`UsageError` for an output in a bundle, whose files would no longer be those exported."""
    around = bundle_around(path) if path is not None else None
    if around is not None:
        raise UsageError(
            f"{path} lies in the bundle {around}, which holds only what was exported",
            hint="choose a place outside of the bundle",
        )
