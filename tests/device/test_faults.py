"""Runners that die, babble, flood or hang: one line that names the job; the other jobs go on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from test_measure import line

from tinyml.core.errors import DeviceError
from tinyml.core.files import sha256
from tinyml.device import local
from tinyml.device.link import CommandResult
from tinyml.device.local import LocalLink
from tinyml.device.measure import Job, JobResult, measure, measurements
from tinyml.device.runner_output import check_same_machine, read_line

GOOD = "printf '%s\\n' \"$(cat good.json)\""


@pytest.fixture
def job(tmp_path: Path) -> Job:
    path = tmp_path / "net.onnx"
    path.write_bytes(b"model")
    return Job(path, "onnxruntime", {})


def timed(
    job: Job, script: str, *others: Job, repeats: int = 1, timeout_s: float = 20
) -> list[JobResult]:
    """By a stand-in for the runner, a shell script; ``good.json`` is a line as it should be."""
    folder = job.path.parent / "board"
    folder.mkdir()
    (folder / "good.json").write_text(line(model_sha256=sha256(job.path)))
    python = folder / "python"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    link = LocalLink(folder, python=str(python), label="emulated")
    return measure(link, [job, *others], repeats, timeout_s=timeout_s)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("kill -9 $$", r"the process was killed by signal 9 \(SIGKILL\): no message"),
        ("echo boom >&2; kill -11 $$", r"the process was killed by signal 11 \(SIGSEGV\): boom"),
        ("echo boom >&2; exit 132", r"the process was killed by signal 4 \(SIGILL\): boom"),
        ("echo usage >&2; exit 2", "the process ended 2: usage"),
        ("printf '\\377\\000{['", "the process printed no result: no message"),
        ("echo 5", "the process printed no result"),
        ("echo '[{}]'", "the process printed no result"),
        ("true", "the process printed no result"),
        ('echo \'{"error": "no such runtime"}\'; exit 1', "no such runtime"),
        ("echo '{\"samples_ns\": [1]}'", "the runner's line: .*missing required field"),
        ("echo '{\"samples_ns\": [NaN]}'", "the process printed no result"),
        ("yes", "python wrote more than 1 MiB, and was ended"),
        ("yes >&2", "python wrote more than 1 MiB, and was ended"),
        ("sleep 600", "python did not end within 2 s"),
    ],
)
def test_a_runner_that_fails_is_named(
    job: Job, script: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "MOST_BYTES", 1 << 20)
    timeout_s = 2 if script.startswith("sleep") else 20
    (found,) = timed(job, script, timeout_s=timeout_s)
    assert found.measurement is None
    with pytest.raises(DeviceError, match=words):
        measurements([found])


def test_the_other_jobs_go_on_and_what_was_timed_is_kept(job: Job) -> None:
    other = replace(job, path=job.path.with_name("other.onnx"))
    other.path.write_bytes(job.path.read_bytes())
    died = "[ -f second ] && kill -11 $$; touch second"
    first, second = timed(job, f"case $5 in *1-other*) {died};; esac; {GOOD}", other, repeats=3)
    assert first.failure is None
    assert first.measurement is not None
    assert len(first.measurement.processes) == 3
    assert second.failure is not None
    assert "other.onnx, whole, onnxruntime: the process was killed" in second.failure.message
    assert second.measurement is not None
    assert len(second.measurement.processes) == 1


@pytest.mark.parametrize("code", [-9, 137])
def test_a_process_that_took_all_memory_has_a_hint(code: int) -> None:
    with pytest.raises(DeviceError) as caught:
        read_line(CommandResult(code, "", ""), "net.onnx")
    assert "takes all memory" in caught.value.hint


@pytest.mark.parametrize(
    "changes",
    [
        {"samples_ns": [5, -6]},
        {"samples_ns": [5, 0]},
        {"cpu_ns": [5, -1]},
        {"elapsed_ns": -12},
        {"samples_ns": [], "cpu_ns": []},
    ],
)
def test_a_clock_that_ran_backwards_is_not_believed(changes: dict[str, object]) -> None:
    with pytest.raises(DeviceError, match="net: the runner's line: a time is not positive"):
        read_line(CommandResult(0, line(**changes), ""), "net")


def test_each_call_has_both_times() -> None:
    with pytest.raises(DeviceError, match="not as many CPU times as wall times"):
        read_line(CommandResult(0, line(cpu_ns=[5]), ""), "net")


def test_another_machine_is_named_but_another_governor_is_judged_later() -> None:
    machine = json.loads(line())["machine"]
    runs = [
        read_line(CommandResult(0, line(machine=machine | own), ""), "net")
        for own in ({}, {"governor": "powersave"}, {"cpu": "other", "numpy": "9"})
    ]
    check_same_machine(runs[:2], "net")
    with pytest.raises(DeviceError, match="net: cpu, numpy changed between the processes"):
        check_same_machine(runs, "net")


def test_a_board_that_restarted_is_named() -> None:
    machine = json.loads(line())["machine"]
    runs = [
        read_line(CommandResult(0, line(machine=machine, before={"boot_id": boot}), ""), "net")
        for boot in ("a", None, "b")
    ]
    check_same_machine(runs[:2], "net")
    with pytest.raises(DeviceError, match="net: the board restarted during the run"):
        check_same_machine(runs, "net")
