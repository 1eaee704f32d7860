"""`tinyml bench` when something goes wrong: one clear line, its exit code, and nothing lost."""

from __future__ import annotations

import errno
import json
import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from test_compare_latency import measured

from tinyml.core.errors import DeviceError, InputError
from tinyml.core.measurement import WHOLE
from tinyml.device.measure import Job, JobResult
from tinyml.pipeline import bench as module
from tinyml.pipeline.bench import read_benchmark
from tinyml.pipeline.bench_jobs import JobList

Cli = Callable[..., "subprocess.CompletedProcess[str]"]
DIED = DeviceError("m.onnx, whole, litert: the process was killed by signal 11 (SIGSEGV)")


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file whose measurement is made up."""
    path = tmp_path / "m.onnx"
    path.write_bytes(b"model")
    jobs = JobList((Job(path, "onnxruntime", {}, WHOLE),))
    monkeypatch.setattr(module, "find_jobs", lambda *_: jobs)
    results(monkeypatch, JobResult(measured(path, 100)))
    return path


def results(monkeypatch: pytest.MonkeyPatch, *found: JobResult) -> None:
    monkeypatch.setattr(module, "measure", lambda *_, **__: list(found))


def test_a_runtime_that_fails_is_shown_after_the_times_of_the_others(
    model: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    results(monkeypatch, JobResult(measured(model, 100)), JobResult(None, DIED))
    done = cli("bench", model)
    assert done.returncode == 4
    assert "onnxruntime  whole  0.100" in done.stdout
    assert done.stderr.splitlines()[-1] == f"error: {DIED.message}"
    written = json.loads(Path(f"{model}.bench.json").read_text())
    assert written["failed"] == [DIED.message]
    assert len(read_benchmark(Path(f"{model}.bench.json")).measurements) == 1


def test_where_all_fail_nothing_is_written(
    model: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    results(monkeypatch, JobResult(None, DIED))
    done = cli("bench", model)
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr == f"error: {DIED.message}\n"
    assert not Path(f"{model}.bench.json").exists()


def test_a_file_that_its_runtime_refuses_leaves_the_others(
    model: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = JobList((), (), (InputError("m.tflite: litert refuses it"), DIED))
    monkeypatch.setattr(module, "find_jobs", lambda *_: jobs)
    done = cli("bench", model)
    assert done.returncode == 3
    errors = [own for own in done.stderr.splitlines() if own.startswith("error")]
    assert errors == ["error: m.tflite: litert refuses it", f"error: {DIED.message}"]


def test_a_full_disk_loses_no_times(model: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(f"{model}.bench.json").write_text("old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    done = cli("bench", model)
    assert done.returncode == 1
    assert "onnxruntime  whole  0.100" in done.stdout
    assert f"error: writing m.onnx.bench.json: no space left in {model.parent}" in done.stderr
    assert Path(f"{model}.bench.json").read_text() == "old"
    as_json = cli("bench", model, "--json")
    assert as_json.returncode == 1
    assert json.loads(as_json.stdout)["measurements"]


def test_a_read_only_folder_is_found_before_anything_is_timed(
    model: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    access = os.access
    place = model.parent / "read-only"
    place.mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: path != place and access(path, mode))

    def timed(*_: object, **__: object) -> None:
        raise AssertionError("it is timed")

    monkeypatch.setattr(module, "measure", timed)
    done = cli("bench", model, "--out", place / "new" / "b.json")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: writing b.json: Permission denied {place}")
    assert "hint: choose a folder that you may write to" in done.stderr


@pytest.mark.parametrize("place", ["find_jobs", "measure", "write_json"])
def test_an_interrupt_leaves_the_old_file(
    place: str, model: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path(f"{model}.bench.json").write_text("old")

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, place, interrupted)
    done = cli("bench", model)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "interrupted: run the same command again to resume\n"
    assert {own.name for own in model.parent.iterdir()} == {"m.onnx", "m.onnx.bench.json"}
    assert Path(f"{model}.bench.json").read_text() == "old"


@pytest.mark.usefixtures("hears_ctrl_c")
def test_an_interrupted_runner_does_not_live_on(tmp_path: Path) -> None:
    """Ctrl-C while a process is waited for."""
    from tinyml.device import local

    script = tmp_path / "run"
    script.write_text("#!/bin/sh\necho $$ > pid; kill -INT $PPID; sleep 600\n")
    script.chmod(0o755)
    with pytest.raises(KeyboardInterrupt):
        local.LocalLink(tmp_path).run([str(script)], timeout_s=60)
    from processes import assert_gone

    assert_gone(int((tmp_path / "pid").read_text()))


def test_a_runner_without_memory_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from tinyml.runtimes.runner import main as runner

    def full(*_: Sequence[Any]) -> None:
        raise MemoryError

    monkeypatch.setattr(runner, "run", full)
    before = os.dup(1)
    try:
        assert runner.main(["m.onnx", "--runtime", "litert", "--inputs", "i.npz"]) == 1
    finally:
        os.dup2(before, 1)
        os.close(before)
    assert json.loads(capfd.readouterr().out) == {"error": "m.onnx needs more memory than there is"}
