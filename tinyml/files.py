"""Writing so that a reader finds the old file, the new file, or none: never half of one."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tinyml.errors import UsageError, machine_errors

CACHE_ENVIRONMENT = "TINYML_CACHE"


def cache_folder() -> Path:
    """What can be made again: ``$TINYML_CACHE``, else the user's cache folder."""
    if own := os.environ.get(CACHE_ENVIRONMENT, ""):
        return Path(own)
    shared = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(shared) if shared else Path.home() / ".cache") / "tinyml"


def sha256(path: Path) -> str:
    """Hex digest of the file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def canonical_json(data: Any) -> str:
    """The one text that ``data`` is hashed as."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)


def write_bytes(path: Path, data: bytes) -> None:
    """Write ``data`` under a temporary name in the same folder, then rename."""
    with machine_errors(f"writing {path.name}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


def write_text(path: Path, text: str) -> None:
    """`write_bytes` of UTF-8 text."""
    write_bytes(path, text.encode())


def write_json(path: Path, data: Any) -> None:
    """`write_text` of indented JSON with a final newline."""
    write_text(path, json.dumps(data, indent=2, allow_nan=False) + "\n")


@contextlib.contextmanager
def new_folder(path: Path, *, force: bool) -> Iterator[Path]:
    """A temporary folder that becomes ``path`` when the block succeeds, and vanishes when not.

    Raises `UsageError` when ``path`` exists (unless ``force``) or another process is
    making it; `MachineError` when the disk is full or the place not writable.
    """
    path = path.absolute()
    _refuse_existing(path, force)
    with machine_errors(f"making {path.name}"):
        path.parent.mkdir(parents=True, exist_ok=True)
    with lock(path):
        _refuse_existing(path, force)
        _sweep(path)
        with machine_errors(f"making {path.name}"):
            draft = Path(tempfile.mkdtemp(prefix=f".{path.name}.tmp-", dir=path.parent))
            try:
                draft.chmod(0o755)
                yield draft
                _replace_folder(draft, path)
            finally:
                shutil.rmtree(draft, ignore_errors=True)


def _refuse_existing(path: Path, force: bool) -> None:
    if path.exists() and not force:
        raise UsageError(f"{path} exists", hint="choose another folder, or --force to replace it")
    for place in (path, *path.parents):
        if place.exists() and not place.is_dir():
            raise UsageError(f"{place} is a file, not a folder", hint="choose another folder")


@contextlib.contextmanager
def lock(path: Path) -> Iterator[None]:
    """Be the only process that writes ``path``, a folder; `UsageError` when another one is."""
    file = path.parent / f".{path.name}.lock"
    with machine_errors(f"making {path.name}"):
        stream = file.open("w")
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"another process is writing {path}", hint="wait for it, or choose another folder"
            ) from None
        try:
            yield
        finally:
            file.unlink(missing_ok=True)


def _sweep(path: Path) -> None:
    """Remove what a killed process left; the lock says that nobody owns it."""
    for left in path.parent.glob(f".{path.name}.tmp-*"):
        shutil.rmtree(left, ignore_errors=True)


def _replace_folder(draft: Path, path: Path) -> None:
    if path.exists():
        old = draft.with_name(f".{path.name}.tmp-old")
        path.rename(old)
        draft.rename(path)
        shutil.rmtree(old, ignore_errors=True)
    else:
        draft.rename(path)
