"""Making a folder so that a reader finds the old one, the new one, or none: never half of one.

    PARENT/.NAME.lock            held by the process that writes NAME
    PARENT/.NAME.tmp-<16 hex>    the new folder while it is made; the old one while it is removed
    PARENT/.NAME.tmp-old         the old one between two renames, where the kernel cannot exchange

All three go in the end, at the latest with the next process that writes NAME.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tinyml.core.errors import UsageError, machine_errors
from tinyml.core.files import resolved, temporaries, temporary
from tinyml.core.locks import hold

AT_FDCWD, RENAME_EXCHANGE = -100, 2
NO_EXCHANGE = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)
NAMED = 3

Foreign = Callable[[Path], Sequence[str]]  # a folder -> what in it is not ours


@contextlib.contextmanager
def new_folder(
    path: Path, *, force: bool = False, foreign: Foreign | None = None
) -> Iterator[Path]:
    """A temporary folder that becomes ``path`` when the block succeeds, and vanishes when not.

    With ``force`` an existing folder is replaced if it is empty, or if ``foreign`` finds
    nothing in it that is not ours; without ``foreign`` there is no such folder. The current
    folder, the home folder and what they lie in are never replaced. Raises `UsageError` when
    ``path`` exists and may not be replaced, or another process writes it; `MachineError` when
    the disk is full or the place not writable.
    """
    path = resolved(path)
    check_new(path, force=force, foreign=foreign)
    with machine_errors(f"making {path.name}", path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    with lock(path), draft_of(path, lambda: check_new(path, force=force, foreign=foreign)) as draft:
        yield draft


@contextlib.contextmanager
def lock(path: Path, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Be the only process that writes ``path``, a folder; `UsageError` when another one is.

    With ``waiting``: call it, and wait for the other process.
    """
    path = resolved(path)
    file = path.parent / f".{path.name}.lock"
    with machine_errors(f"making {path.name}", path.parent):
        held = hold(file)
        if held is None and waiting is not None:
            waiting()
            held = hold(file, wait=True)
    if held is None:
        raise UsageError(
            f"another process is writing {path}", hint="wait for it, or choose another folder"
        )
    try:
        yield
    finally:
        file.unlink(missing_ok=True)
        os.close(held)


@contextlib.contextmanager
def draft_of(path: Path, check: Callable[[], None] = lambda: None) -> Iterator[Path]:
    """A temporary folder that takes the place of ``path``, for whoever holds its `lock`.

    What a killed process left of ``path`` is put back or removed first. ``check`` is called
    before the block and before ``path`` is replaced: what it raises prevents that.
    """
    with machine_errors(f"making {path.name}", path.parent):
        _restore(path)
        check()
        _sweep(path)
        draft = temporary(path)
        draft.mkdir()
        try:
            yield draft
            check()
            _put(draft, path)
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def check_new(path: Path, *, force: bool = False, foreign: Foreign | None = None) -> None:
    """`UsageError` where `new_folder` would refuse ``path`` for what is there now."""
    path = resolved(path)
    for place in (path, *path.parents):
        if place.exists() and not place.is_dir():
            raise UsageError(f"{place} is a file, not a folder", hint="choose another folder")
    if not path.exists():
        return
    if not force:
        hint = "choose another folder, or --force to replace it"
        raise UsageError(f"{path} exists", hint=hint if foreign else "choose another folder")
    if any(os.path.samefile(path, place) for place in _never()):
        raise UsageError(
            f"{path} is the current folder, the home folder, or contains one of them",
            hint="choose another folder: --force never replaces this one",
        )
    found = [] if foreign is None else [*foreign(path)]
    if foreign is None:
        found = sorted(os.listdir(path))
    if found:
        more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
        raise UsageError(
            f"{path} holds what tinyml did not write: {', '.join(found[:NAMED])}{more}",
            hint="choose another folder, or move those files away first",
        )


def _never() -> list[Path]:
    """The current folder and the home folder, each with its parents."""
    places: list[Path] = []
    with contextlib.suppress(FileNotFoundError):  # the current folder was removed
        places.append(Path.cwd())
    with contextlib.suppress(RuntimeError):  # the user has no home folder
        places.append(resolved(Path.home()))
    return [own for place in places for own in (place, *place.parents) if own.exists()]


def _old(path: Path) -> Path:
    return path.with_name(f".{path.name}.tmp-old")


def _restore(path: Path) -> None:
    """Put back the old folder of a process that was killed between its two renames."""
    if _old(path).is_dir() and not path.exists():
        _old(path).rename(path)


def _sweep(path: Path) -> None:
    """Remove what a killed process left; the lock shows that no process owns it."""
    if _old(path).is_dir():  # `path` exists: the new folder was in place already
        _old(path).rename(temporary(path))
    for left in temporaries(path.parent, path.name):
        shutil.rmtree(left, ignore_errors=True)


def _put(draft: Path, path: Path) -> None:
    """Make ``draft`` the folder ``path``; an old one is at ``draft`` afterwards."""
    if not path.exists():
        draft.rename(path)
    elif not _exchange(draft, path):
        path.rename(_old(path))
        try:
            draft.rename(path)
        except BaseException:
            _restore(path)
            raise
        _old(path).rename(draft)


def _exchange(one: Path, other: Path) -> bool:
    """Let two folders take each other's name at once; ``False`` where the kernel cannot."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    names = AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other)
    if rename(*names, RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in NO_EXCHANGE:
        return False
    raise OSError(code, os.strerror(code), str(other))
