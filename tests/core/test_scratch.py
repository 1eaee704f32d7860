"""Scratch folders go in the end: with their block, or with the next command."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tinyml.core.errors import MachineError
from tinyml.core.scratch import OWNER, keep, scratch, sweep_scratch

KILLED = """
import os, sys
from tinyml.core.scratch import scratch
with scratch("test") as folder:
    (folder / "half").mkdir()
    (folder / "half" / "x").touch()
    os.kill(os.getpid(), 9)
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_it_goes_when_the_block_ends_however_it_ends(place: Path) -> None:
    with scratch("test") as folder:
        (folder / "sub" / "sub").mkdir(parents=True)
        (folder / "sub" / "x").touch()
        (folder / "link").symlink_to(place)
        assert folder.parent == place
        assert folder.stat().st_mode & 0o777 == 0o700
    assert list(place.iterdir()) == []
    with pytest.raises(RuntimeError, match="the real one"), scratch("test") as folder:
        _fail(folder)


def _fail(folder: Path) -> None:
    (folder / OWNER).unlink()
    folder.rmdir()
    raise RuntimeError("the real one")


def test_a_killed_process_folder_goes_with_the_next_and_a_living_ones_stays(place: Path) -> None:
    env = {**os.environ, "TMPDIR": str(place)}
    died = subprocess.run([sys.executable, "-c", KILLED], env=env, check=False)
    assert died.returncode == -9
    (dead,) = place.iterdir()
    with scratch("one") as one, scratch("two") as two:
        assert set(place.iterdir()) == {one, two}
        assert dead not in (one, two)
    assert list(place.iterdir()) == []


def test_what_is_not_ours_stays(place: Path) -> None:
    for name in ("tinyml-export-abcd1234", "tinyml-notes", "other-export-0123456789abcdef"):
        (place / name).mkdir()
        (place / name / "x").touch()
    (place / "tinyml-export-0123456789abcdef").touch()
    (place / "tinyml-run-0123456789abcdef").symlink_to(place / "tinyml-notes")
    before = sorted(place.rglob("*"))
    with scratch("test"):
        pass
    assert sorted(place.rglob("*")) == before


def test_what_is_kept_stays(place: Path) -> None:
    with scratch("test") as folder:
        (folder / "logs").mkdir()
        (folder / "logs" / "a.log").touch()
        (folder / "model").touch()
        keep(folder, "logs")
    with scratch("test"):
        pass
    assert sorted(p.name for p in folder.rglob("*")) == ["a.log", "logs"]


def test_one_that_was_killed_at_its_start_or_its_end_is_empty_and_goes(place: Path) -> None:
    (place / "tinyml-export-0123456789abcdef").mkdir()
    sweep_scratch(place)
    assert list(place.iterdir()) == []


def test_a_place_that_is_not_there_is_the_machines_fault(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(place / "gone"))
    with pytest.raises(MachineError, match="making a scratch folder"), scratch("test"):
        pass
