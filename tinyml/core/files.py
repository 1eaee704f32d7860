"""Writing so that a reader finds the old file, the new file, or none: never half of one.

What is being written has a temporary name next to the file, `temporary`. Nothing else is
ever removed: a user's own hidden files have other names.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import secrets
from pathlib import Path
from typing import Any

from tinyml.core.errors import UsageError, machine_error, machine_errors
from tinyml.core.locks import hold, is_at

CACHE_ENVIRONMENT = "TINYML_CACHE"
_TEMPORARY = re.compile(r"\.(?P<name>.+)\.tmp-[0-9a-f]{16}", re.DOTALL)


def cache_folder() -> Path:
    """What can be made again: ``$TINYML_CACHE``, else the user's cache folder."""
    if own := os.environ.get(CACHE_ENVIRONMENT, ""):
        return Path(own)
    return _users_folder("XDG_CACHE_HOME", ".cache")


def config_folder() -> Path:
    """What the user has decided once: ``$XDG_CONFIG_HOME/tinyml``, else ``~/.config/tinyml``."""
    return _users_folder("XDG_CONFIG_HOME", ".config")


def _users_folder(variable: str, at_home: str) -> Path:
    shared = os.environ.get(variable, "")
    return (Path(shared) if shared else Path.home() / at_home) / "tinyml"


def sha256(path: Path) -> str:
    """Hex digest of the file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def canonical_json(data: Any) -> str:
    """The one text that ``data`` is hashed as."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)


def resolved(path: Path) -> Path:
    """``path`` as an absolute path without symbolic links or ``..``."""
    return Path(os.path.realpath(path))


def temporary(path: Path) -> Path:
    """A new name next to ``path`` for what will become it."""
    return path.with_name(f".{path.name}.tmp-{secrets.token_hex(8)}")


def temporaries(folder: Path, name: str | None = None) -> list[Path]:
    """Everything in ``folder`` that has a name of `temporary`: of ``name``, or of any."""
    with os.scandir(folder) as entries:
        found = [(entry.name, _TEMPORARY.fullmatch(entry.name)) for entry in entries]
    return [folder / own for own, match in found if match and name in (None, match["name"])]


def write_bytes(path: Path, data: bytes) -> None:
    """Write ``data`` under a temporary name in the same folder, then rename.

    Permissions are those of the user's umask; a symbolic link stays one. Raises `UsageError`
    where ``path`` is a folder or a device, `MachineError` when it cannot be written.
    """
    path = resolved(path)
    with machine_errors(f"writing {path.name}", path.parent):
        if path.exists() and not path.is_file():
            raise UsageError(f"{path} is not a regular file", hint="choose another name")
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep_files(path.parent, path.name)
        draft, handle = _held_temporary(path)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
                draft.replace(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise


def check_writable(path: Path) -> None:
    """Raise `MachineError` where the folder of ``path``, or the one to make it in, is read-only."""
    folder = resolved(path).parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not os.access(folder, os.W_OK | os.X_OK):
        refusal = OSError(errno.EACCES, os.strerror(errno.EACCES), f"{folder}")
        raise machine_error(refusal, f"writing {path.name}")


def _held_temporary(path: Path) -> tuple[Path, int]:
    """A new temporary file of ``path``, held by this process, which `sweep_files` leaves."""
    while True:
        draft = temporary(path)
        held = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        fcntl.flock(held, fcntl.LOCK_EX)
        if is_at(held, draft):
            return draft, held
        os.close(held)  # swept before it was held


def sweep_files(folder: Path, name: str | None = None) -> None:
    """Remove the temporary files in ``folder`` whose writer is dead: of ``name``, or of any."""
    for left in temporaries(folder, name):
        # An error: a folder, a link, another user's, or gone in the meantime.
        with contextlib.suppress(OSError):
            held = hold(left, make=False)
            if held is not None:  # its writer is dead
                try:
                    left.unlink()
                finally:
                    os.close(held)


def write_text(path: Path, text: str) -> None:
    """`write_bytes` of UTF-8 text."""
    write_bytes(path, text.encode())


def write_json(path: Path, data: Any, *, indent: int | None = 2) -> None:
    """`write_text` of JSON with a final newline; with ``indent`` ``None`` in one line."""
    write_text(path, json.dumps(data, indent=indent, allow_nan=False) + "\n")
