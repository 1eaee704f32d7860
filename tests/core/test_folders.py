"""A folder is replaced whole, only where it is ours, and by one process at a time."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tinyml.core import folders
from tinyml.core.errors import UsageError
from tinyml.core.files import temporary
from tinyml.core.folders import lock, new_folder


def ours(folder: Path) -> list[str]:
    """For these tests a folder is ours if it holds files called ``own*`` and nothing else."""
    return [name for name in os.listdir(folder) if not name.startswith("own")]


def old_folder(path: Path) -> Path:
    path.mkdir(parents=True)
    (path / "own").write_text("old")
    return path


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    with new_folder(path, force=True, foreign=ours) as draft:
        (draft / "own").write_text("new")
        yield draft


@pytest.fixture(params=["exchange", "renames"])
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With the kernel's atomic exchange, and without it."""
    if request.param == "renames":
        monkeypatch.setattr(folders, "_exchange", lambda *_: False)
    return str(request.param)


def test_a_folder_appears_when_the_block_succeeds_and_only_then(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "bundle"
    with new_folder(out) as draft:
        (draft / "own").write_text("1")
        assert not out.exists()
    assert names(out.parent) == ["bundle"]
    with pytest.raises(RuntimeError), replacing(out):
        raise RuntimeError
    assert (out / "own").read_text() == "1"
    assert names(out.parent) == ["bundle"]


@pytest.mark.usefixtures("kernel")
def test_a_folder_of_ours_or_an_empty_one_is_replaced_by_force_only(tmp_path: Path) -> None:
    out = old_folder(tmp_path / "out")
    with pytest.raises(UsageError, match="exists"), new_folder(out, foreign=ours):
        pass
    with replacing(out):
        assert (out / "own").read_text() == "old"
    assert (out / "own").read_text() == "new"
    (tmp_path / "empty").mkdir()
    with new_folder(tmp_path / "empty", force=True) as draft:
        (draft / "x").touch()
    assert names(tmp_path) == ["empty", "out"]


def test_a_folder_with_other_files_is_not_replaced_and_they_are_named(tmp_path: Path) -> None:
    out = old_folder(tmp_path / "out")
    (out / ".git").mkdir()
    for foreign in (ours, None):
        making = new_folder(out, force=True, foreign=foreign)
        with pytest.raises(UsageError, match=r"did not write: .*\.git"), making:
            pytest.fail("the block runs")
    assert names(out) == [".git", "own"]
    assert names(tmp_path) == ["out"]


def test_a_file_that_came_in_the_meantime_is_kept(tmp_path: Path) -> None:
    out = old_folder(tmp_path / "out")
    with pytest.raises(UsageError, match="thesis"), replacing(out):
        (out / "thesis.md").touch()
    assert names(out) == ["own", "thesis.md"]
    with pytest.raises(UsageError, match="exists"), new_folder(tmp_path / "late"):
        (tmp_path / "late").mkdir()
    assert names(tmp_path) == ["late", "out"]


@pytest.mark.parametrize("place", [".", "..", "link", "home", "/"])
def test_the_current_and_the_home_folder_and_their_parents_are_never_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    inner = tmp_path / "project" / "inner"
    inner.mkdir(parents=True)
    (tmp_path / "home" / "me").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home" / "me"))
    monkeypatch.chdir(inner)
    (inner / "link").symlink_to(tmp_path / "project")
    out = tmp_path / "home" if place == "home" else Path(place)
    making = new_folder(out, force=True, foreign=lambda _: [])
    with pytest.raises(UsageError, match="current folder, the home folder"), making:
        pytest.fail("the block runs")
    assert inner.is_dir()


def test_a_link_to_a_folder_stays_one(tmp_path: Path) -> None:
    real = old_folder(tmp_path / "real" / "out")
    (tmp_path / "link").symlink_to(real)
    busy = pytest.raises(UsageError, match="another process")
    with replacing(tmp_path / "link"), busy, lock(real):
        pass
    assert (tmp_path / "link").is_symlink()
    assert (real / "own").read_text() == "new"


def test_two_writers_of_one_folder_are_told_apart(tmp_path: Path) -> None:
    with (
        new_folder(tmp_path / "out"),
        pytest.raises(UsageError, match="another process is writing"),
        new_folder(tmp_path / "out"),
    ):
        pass
    assert (tmp_path / "out").is_dir()


def test_a_lock_on_a_removed_file_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between another process' opening of the file and its lock, the holder leaves."""
    flock, first = fcntl.flock, lock(tmp_path / "out")
    first.__enter__()

    def late(descriptor: int, how: int) -> None:
        monkeypatch.setattr(fcntl, "flock", flock)
        first.__exit__(None, None, None)
        flock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", late)
    busy = pytest.raises(UsageError, match="another process")
    with lock(tmp_path / "out"), busy, lock(tmp_path / "out"):
        pass
    assert names(tmp_path) == []


def test_many_threads_never_hold_the_lock_at_once(tmp_path: Path) -> None:
    inside, most, taken = 0, 0, 0
    guard = threading.Lock()

    def work() -> None:
        nonlocal inside, most, taken
        for _ in range(100):
            with lock(tmp_path / "out", waiting=lambda: None):
                with guard:
                    inside += 1
                    most, taken = max(most, inside), taken + 1
                with guard:
                    inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, taken) == (1, 400)
    assert names(tmp_path) == []


KILLED = """
import os, sys
from pathlib import Path
from tinyml.core import folders
if sys.argv[2] == "between":
    folders._exchange = lambda *_: False
    rename, count = Path.rename, []
    def counted(self, target):
        count.append(rename(self, target))
        os.kill(os.getpid(), 9)
    Path.rename = counted
with folders.new_folder(Path(sys.argv[1]), force=True, foreign=lambda _: []) as draft:
    (draft / "own").write_text("half")
    if sys.argv[2] == "inside":
        os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("when", ["inside", "between"])
def test_a_kill_and_a_failing_next_run_leave_the_old_folder(tmp_path: Path, when: str) -> None:
    out = old_folder(tmp_path / "out")
    died = subprocess.run([sys.executable, "-c", KILLED, str(out), when], check=False)
    assert died.returncode == -9
    assert out.exists() == (when == "inside")
    assert list(tmp_path.glob(".out.tmp-*"))
    with pytest.raises(RuntimeError), replacing(out):
        raise RuntimeError
    assert (out / "own").read_text() == "old"
    assert names(tmp_path) == ["out"]


def test_an_old_folder_is_put_back_even_if_it_then_prevents_the_run(tmp_path: Path) -> None:
    old_folder(tmp_path / ".out.tmp-old")
    with pytest.raises(UsageError, match="exists"), new_folder(tmp_path / "out"):
        pass
    assert (tmp_path / "out" / "own").read_text() == "old"


def test_an_old_folder_next_to_the_new_one_goes(tmp_path: Path) -> None:
    old_folder(tmp_path / ".out.tmp-old")
    old_folder(tmp_path / "out")
    with replacing(tmp_path / "out"):
        pass
    assert names(tmp_path) == ["out"]


def test_a_failing_rename_puts_the_old_folder_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "_exchange", lambda *_: False)
    out, rename = old_folder(tmp_path / "out"), Path.rename

    def failing(self: Path, target: Path) -> Path:
        if target == out and not self.name.endswith("old"):
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(KeyboardInterrupt), replacing(out):
        pass
    assert (out / "own").read_text() == "old"
    assert names(tmp_path) == ["out"]


def test_a_users_hidden_folders_are_not_swept(tmp_path: Path) -> None:
    for name in (".out.tmp-notes", ".out.tmp-12345678", ".other.tmp-0123456789abcdef"):
        (tmp_path / name).mkdir()
    temporary(tmp_path / "out").mkdir()
    with new_folder(tmp_path / "out"):
        pass
    assert len(names(tmp_path)) == 4


def test_brackets_in_a_name_are_no_pattern(tmp_path: Path) -> None:
    kept, swept = temporary(tmp_path / "a"), temporary(tmp_path / "[ab]")
    kept.mkdir(), swept.mkdir()
    with new_folder(tmp_path / "[ab]"):
        pass
    assert names(tmp_path) == sorted([kept.name, "[ab]"])
