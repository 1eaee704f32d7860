"""Where tinyml keeps its own things on a board, and moving files there."""

from __future__ import annotations

import contextlib
import os
import shutil
from typing import Any

# In the home of the user there; relative names below are of this folder.
FOLDER = ".tinyml"


def place(*names: str) -> str:
    return os.path.join(os.path.expanduser("~"), FOLDER, *names)


def move_file(path: str, to: str) -> None:
    """Let ``to`` be the file ``path``, whole or not at all; they may be on two disks."""
    os.makedirs(os.path.dirname(to), exist_ok=True)
    draft = to + ".tmp"
    shutil.move(path, draft)
    os.replace(draft, to)


def point(link: str, at: str) -> None:
    """Let the symbolic link ``link`` point at ``at``, at once: a reader sees the old or the new."""
    draft = link + ".tmp"
    remove(draft)
    os.symlink(at, draft)
    os.replace(draft, link)


def target_of(link: str) -> str:
    """What the symbolic link ``link`` points at; empty where there is none."""
    try:
        return os.readlink(link)
    except OSError:
        return ""


def remove(path: str) -> None:
    """Remove a file, a link or a folder, if it is there."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
        return
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


@contextlib.contextmanager
def draft_of(path: str) -> Any:
    """A new folder that becomes ``path`` with the end of the block, and goes if that fails."""
    draft = path + ".tmp"
    remove(draft)
    os.makedirs(draft)
    try:
        yield draft
        os.rename(draft, path)
    finally:
        remove(draft)
