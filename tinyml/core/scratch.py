"""Folders for what is needed while a command runs; the next command removes a dead one's.

A scratch folder holds the file ``.owner``, which its process holds (`tinyml.core.locks`): where
no process does, it is dead. A folder without that file was left to the user by `keep`.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tinyml.core.errors import SCRATCH_NAME, machine_errors
from tinyml.core.locks import hold

OWNER = ".owner"


@contextlib.contextmanager
def scratch(purpose: str) -> Iterator[Path]:
    """A new folder ``$TMPDIR/tinyml-<purpose>-...``, removed when the block ends.

    Only this user may read it. Folders of dead processes are removed first. Raises
    `MachineError` when it cannot be made.
    """
    with machine_errors("making a scratch folder"):
        parent = Path(tempfile.gettempdir())
        sweep_scratch(parent)
        folder, held = _owned(parent, purpose)
    try:
        yield folder
    finally:
        if (folder / OWNER).exists():
            _remove(folder)
        os.close(held)


def keep(folder: Path, name: str) -> None:
    """Leave what is called ``name`` in a folder of `scratch` to the user, and remove the rest.

    Neither the end of the block nor a later command removes it then.
    """
    _empty(folder, {name, OWNER})
    with contextlib.suppress(OSError):
        (folder / OWNER).unlink()


def sweep_scratch(parent: Path) -> None:
    """Remove this user's scratch folders in ``parent`` whose process is dead."""
    with os.scandir(parent) as entries:
        found = [
            Path(entry) for entry in entries if SCRATCH_NAME.fullmatch(entry.name) and _own(entry)
        ]
    for folder in found:
        with contextlib.suppress(OSError):  # its end came at the same time, or it is kept
            if not (folder / OWNER).exists():
                folder.rmdir()  # kept, unless it is empty
                continue
            held = hold(folder / OWNER, make=False)
            if held is not None:
                _remove(folder)
                os.close(held)


def _own(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder of this user: in a shared folder no one else can exchange it."""
    try:
        mine = entry.stat(follow_symlinks=False).st_uid == os.getuid()
    except FileNotFoundError:
        return False
    return mine and entry.is_dir(follow_symlinks=False)


def _owned(parent: Path, purpose: str) -> tuple[Path, int]:
    """A new folder and the descriptor of its held owner file."""
    while True:
        folder = parent / f"tinyml-{purpose}-{secrets.token_hex(8)}"
        folder.mkdir(mode=0o700)
        with contextlib.suppress(FileNotFoundError):  # swept while it was empty
            held = hold(folder / OWNER)
            if held is not None:
                return folder, held


def _remove(folder: Path) -> None:
    """Remove it, the owner's file last: what a kill leaves of it is found again.

    It never raises, since that would hide why the block ended; the next command tries again.
    """
    _empty(folder, {OWNER})
    with contextlib.suppress(OSError):
        if os.listdir(folder) == [OWNER]:
            (folder / OWNER).unlink()
            folder.rmdir()


def _empty(folder: Path, but: set[str]) -> None:
    with contextlib.suppress(OSError):
        for entry in [own for own in folder.iterdir() if own.name not in but]:
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                with contextlib.suppress(OSError):
                    entry.unlink()
