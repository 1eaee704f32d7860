from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tinyml.core.errors import MachineError, UsageError
from tinyml.core.files import sha256, sweep_files, temporary, write_bytes, write_json
from tinyml.core.folders import new_folder


def test_a_file_is_replaced_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "facts.json"
    write_json(path, {"a": 1})

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    words = rf"writing facts.json: no space left in {tmp_path}$"
    with pytest.raises(MachineError, match=words) as caught:
        write_bytes(path, b"half")
    assert "free some space" in caught.value.hint
    assert path.read_text() == '{\n  "a": 1\n}\n'
    assert list(tmp_path.iterdir()) == [path]


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    for umask, file, folder in ((0o077, 0o600, 0o700), (0o002, 0o664, 0o775)):
        before = os.umask(umask)
        try:
            write_bytes(tmp_path / f"file-{umask}", b"x")
            with new_folder(tmp_path / f"folder-{umask}") as draft:
                (draft / "x").touch()
        finally:
            os.umask(before)
        assert (tmp_path / f"file-{umask}").stat().st_mode & 0o777 == file
        assert (tmp_path / f"folder-{umask}").stat().st_mode & 0o777 == folder


def test_what_is_not_a_regular_file_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for place in (tmp_path, tmp_path / "pipe", Path("/dev/null")):
        with pytest.raises(UsageError, match="not a regular file"):
            write_bytes(place, b"x")


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link.json").symlink_to(tmp_path / "real" / "facts.json")
    write_bytes(tmp_path / "link.json", b"new")
    assert (tmp_path / "link.json").is_symlink()
    assert (tmp_path / "real" / "facts.json").read_bytes() == b"new"


def test_only_temporaries_of_dead_writers_are_swept(tmp_path: Path) -> None:
    users = [".facts.json.bak", ".facts.json.tmp-notes", ".x.safetensors.old", ".facts.json.tmp-"]
    dead, living = temporary(tmp_path / "facts.json"), temporary(tmp_path / "facts.json")
    other = temporary(tmp_path / "other.json")
    for name in (*users, dead.name, living.name, other.name):
        (tmp_path / name).touch()
    with living.open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        write_bytes(tmp_path / "facts.json", b"x")
        assert set(os.listdir(tmp_path)) == {*users, "facts.json", living.name, other.name}
        sweep_files(tmp_path)
        assert set(os.listdir(tmp_path)) == {*users, "facts.json", living.name}
    sweep_files(tmp_path)
    assert set(os.listdir(tmp_path)) == {*users, "facts.json"}


def test_a_killed_writers_file_goes_with_the_next_write(tmp_path: Path) -> None:
    script = (
        "import os, sys, pathlib; from tinyml.core import files\n"
        "os.fsync = lambda _: os.kill(os.getpid(), 9)\n"
        "files.write_bytes(pathlib.Path(sys.argv[1]), b'half')\n"
    )
    path = tmp_path / "x"
    assert subprocess.run([sys.executable, "-c", script, path], check=False).returncode == -9
    assert [left.name.partition("-")[0] for left in tmp_path.iterdir()] == [".x.tmp"]
    write_bytes(path, b"whole")
    assert list(tmp_path.iterdir()) == [path]


def test_sha256_is_of_the_bytes(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"abc")
    assert sha256(path).startswith("ba7816bf8f01cfea")
