"""The checkers of `make kill-runs` see what they are there for."""

from __future__ import annotations

import importlib
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tinyml.core.files import temporary, write_json

FOLDER = Path(__file__).parents[2] / "tools" / "kill_runs"
NAMES = ("checks", "commands", "lane")


@pytest.fixture(scope="module")
def modules() -> Iterator[dict[str, ModuleType]]:
    sys.path.insert(0, str(FOLDER))
    try:
        found = {name: importlib.import_module(name) for name in NAMES}
        spec = importlib.util.spec_from_file_location("kill_runs_main", FOLDER / "__main__.py")
        assert spec is not None
        assert spec.loader is not None
        found["main"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(found["main"])
        yield found
    finally:
        sys.path.remove(str(FOLDER))
        for name in NAMES:
            sys.modules.pop(name, None)


@pytest.fixture
def checks(modules: dict[str, ModuleType]) -> Any:
    return modules["checks"]


def texts(findings: Any) -> list[str]:
    return [f"{finding.kind}: {finding.text}" for finding in findings]


def test_what_is_gone_or_changed_is_lost(checks: Any, tmp_path: Path) -> None:
    for name in ("run/checkpoint", "run/.notes", "thesis.md", "gone"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("1")
    before = checks.outputs(tmp_path)
    assert checks.lost(tmp_path, before, "run") == []
    for name in ("run/checkpoint", "run/.notes", "thesis.md"):
        (tmp_path / name).write_text("2")
    (tmp_path / "gone").unlink()
    expected = ["lost: gone is gone", "lost: run/.notes was changed", "lost: thesis.md was changed"]
    assert texts(checks.lost(tmp_path, before, "run")) == expected


def test_a_state_may_go_when_its_checkpoint_is_there(checks: Any, tmp_path: Path) -> None:
    (tmp_path / "state.safetensors").touch()
    before = checks.outputs(tmp_path)
    (tmp_path / "state.safetensors").rename(tmp_path / "checkpoint.safetensors")
    assert checks.lost(tmp_path, before, "") == []
    (tmp_path / "checkpoint.safetensors").unlink()
    assert texts(checks.lost(tmp_path, before, "")) == ["lost: state.safetensors is gone"]


def test_what_its_reader_refuses_is_half_written(
    checks: Any, small_run: Path, bundle_copy: Path, tmp_path: Path
) -> None:
    shutil.copytree(small_run, tmp_path / "run", ignore=shutil.ignore_patterns("*.lock"))
    assert checks.half_written(tmp_path) == []
    for name in ("run/checkpoint.safetensors", "run/curve.json", "bundle/run.py"):
        data = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(data[: len(data) // 2])
    found = texts(checks.half_written(tmp_path))
    assert [text.split(":")[1].strip() for text in found] == [
        "bundle",
        "run/checkpoint.safetensors",
        "run/curve.json",
    ]
    (bundle_copy / "manifest.json").unlink()
    assert "half-written: bundle has no manifest" in texts(checks.half_written(tmp_path))


def test_temporary_files_locks_and_scratch_folders_are_left(checks: Any, tmp_path: Path) -> None:
    place, scratch, cache = (tmp_path / name for name in ("place", "tmp", "cache"))
    (place / "run").mkdir(parents=True), (cache / "images").mkdir(parents=True), scratch.mkdir()
    write_json(place / ".x.json.bak", 1)
    assert checks.left(place, scratch, cache) == []
    (scratch / "tinyml-run-1").mkdir()
    (scratch / "torchinductor_me").mkdir()
    (place / ".run.lock").touch()
    (place / ".bundle.tmp-old").mkdir()
    temporary(place / "run" / "curve.json").touch()
    temporary(cache / "images" / "x").mkdir()
    assert len(checks.left(place, scratch, cache)) == 5
    assert list(checks.outputs(place)) == [".x.json.bak"]


def test_a_process_that_outlives_its_parent_is_found_and_ended(
    checks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "GRACE_S", 0.1)
    env = {**os.environ, checks.MARK: "me"}
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], env=env) as child:
        assert checks.orphans("somebody else") == []
        assert [finding.kind for finding in checks.orphans("me")] == ["orphan"]
        assert child.wait(10) == -9


@pytest.mark.parametrize("kills", [0, 3, 200])
def test_kills_are_shared_out_in_full(modules: Any, kills: int) -> None:
    found = modules["main"].episodes(list(modules["commands"].COMMANDS), kills, random.Random(0))
    assert sum(count for _, count in found) == kills
    assert all(0 < count <= modules["main"].IN_A_ROW for _, count in found)
