from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tinyml.errors import MachineError, UsageError
from tinyml.files import new_folder, sha256, write_bytes, write_json


def test_a_file_is_replaced_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "facts.json"
    write_json(path, {"a": 1})

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(MachineError, match="No space left") as caught:
        write_bytes(path, b"half")
    assert "free some space" in caught.value.hint
    assert path.read_text() == '{\n  "a": 1\n}\n'
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_appears_when_the_block_succeeds_and_only_then(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "bundle"
    with new_folder(out, force=False) as draft:
        (draft / "x").write_text("1")
        assert not out.exists()
    assert [p.name for p in out.parent.iterdir()] == ["bundle"]
    with pytest.raises(RuntimeError), new_folder(out, force=True) as draft:
        raise RuntimeError
    assert (out / "x").read_text() == "1"
    assert [p.name for p in out.parent.iterdir()] == ["bundle"]


def test_an_existing_folder_is_replaced_only_by_force(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").touch()
    with pytest.raises(UsageError, match="exists"), new_folder(tmp_path / "out", force=False):
        pass
    with new_folder(tmp_path / "out", force=True) as draft:
        (draft / "new").touch()
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["new"]


def test_two_writers_of_one_folder_are_told_apart(tmp_path: Path) -> None:
    with (
        new_folder(tmp_path / "out", force=False),
        pytest.raises(UsageError, match="another process is writing"),
        new_folder(tmp_path / "out", force=False),
    ):
        pass
    assert (tmp_path / "out").is_dir()


def test_what_a_killed_writer_left_is_swept(tmp_path: Path) -> None:
    script = (
        "import os, sys, pathlib; from tinyml.files import new_folder\n"
        "with new_folder(pathlib.Path(sys.argv[1]), force=False) as d:\n"
        "    (d / 'half').touch(); os.kill(os.getpid(), 9)\n"
    )
    out = tmp_path / "out"
    died = subprocess.run([sys.executable, "-c", script, str(out)], check=False)
    assert died.returncode == -9
    assert not out.exists()
    assert list(tmp_path.glob(".out.tmp-*"))
    with new_folder(out, force=False):
        pass
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_sha256_is_of_the_bytes(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"abc")
    assert sha256(path).startswith("ba7816bf8f01cfea")
