"""Phones are shells on this machine; their ``benchmark_model`` prints the real one's format."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from device_faults import record
from phones import ShellPhone, benchmark_model, shell_phone

from tinyml.core.averages import AverageTiming
from tinyml.core.errors import DeviceError, InputError, ValidationError
from tinyml.core.files import sha256
from tinyml.core.timing_plan import TimingPlan
from tinyml.device.measure import Job
from tinyml.device.measure_averages import AverageResult, measure_averages

PLAN = TimingPlan(min_samples=20, min_time_s=0.0, max_time_s=0.2, warmups=1)
MODEL = b"xxxxTFL3" + bytes(20_000)


@pytest.fixture
def program() -> Path:
    return benchmark_model()


@pytest.fixture
def phone(tmp_path: Path) -> ShellPhone:
    return shell_phone(tmp_path / "phone")


def job(folder: Path, name: str = "net.tflite", threads: int = 1) -> Job:
    (folder / name).write_bytes(MODEL)
    return Job(folder / name, "litert", {"x": np.zeros(1, np.float32)}, threads=threads)


def timings(results: list[AverageResult]) -> Iterator[AverageTiming]:
    for own in results:
        assert own.failure is None
        assert own.timing is not None
        yield own.timing


def test_processes_take_turns_and_their_averages_are_kept(
    phone: ShellPhone, program: Path, tmp_path: Path
) -> None:
    jobs = [job(tmp_path), job(tmp_path, "it's a $(net).tflite", threads=2)]
    shown: list[tuple[str, int, int]] = []
    found = measure_averages(
        phone.link, jobs, program, 2, plan=PLAN, progress=lambda *line: shown.append(line)
    )
    one, two = timings(found)
    assert [len(one.valid), len(two.valid), len(shown)] == [2, 2, 4]
    assert shown[-1][1:] == (3, 4)
    assert {process.turn for process in one.processes} == {0, 1}
    assert one.model_sha256 == sha256(jobs[0].path)
    assert one.program_sha256 == sha256(program)
    assert (one.conditions.threads, two.conditions.threads) == (1, 2)
    assert (one.conditions.board, one.conditions.system) == (
        "Emulated Phone",
        "Android 14 (API 34)",
    )
    low, high = one.range_ns or (0, 0)
    assert 0 < (one.min_ns or 0) <= low <= (one.mean_ns or 0) <= high <= (one.max_ns or 0)
    assert one.load_ns is not None
    assert all(process.calls >= 20 and process.first_ns for process in one.processes)
    assert phone.read("fixed") == "false"


def test_a_phone_that_throttles_is_waited_for_and_what_it_spoilt_is_repeated(
    phone: ShellPhone, program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tinyml.device.measure_averages.ASK_EVERY_S", 100.0)
    waits: list[float] = []

    def cool(seconds: float) -> None:
        waits.append(seconds)
        phone.set("thermal", 0)

    phone.set("thermal", 2)
    (own,) = timings(
        measure_averages(phone.link, [job(tmp_path)], program, 1, plan=PLAN, sleep=cool)
    )
    assert len(waits) == 1
    assert len(own.valid) == 1

    phone.set("thermal", 3)
    wait = waits.append
    found = measure_averages(phone.link, [job(tmp_path)], program, 2, plan=PLAN, sleep=wait)
    (own,) = timings(found)
    assert sum(waits[1:]) == 300
    assert (own.valid, len(own.processes), own.mean_ns) == ((), 4, None)
    assert own.processes[0].discarded == "the phone throttles: thermal status 3 (severe)"


FAILURES = {
    "refused": ("the program refuses the model (Android)", "ended 1: Failed to load model"),
    "segfault": ("segmentation fault (Android)", "was killed by signal 11 (SIGSEGV)"),
    "silent": ("no result (Android)", "printed 0 lines of statistics, not 2"),
}


def test_jobs_that_fail_leave_the_others(phone: ShellPhone, program: Path, tmp_path: Path) -> None:
    jobs = [*(job(tmp_path, f"{name}.tflite") for name in FAILURES), job(tmp_path)]
    *bad, good = measure_averages(phone.link, jobs, program, 1, plan=PLAN)
    assert good.timing is not None
    assert phone.read("fixed") == "false"
    folder = {phone.link.folder: "FOLDER"}
    for (fault, message), own in zip(FAILURES.values(), bad, strict=True):
        assert own.timing is None
        assert own.failure is not None
        assert message in own.failure.message
        left = {"board": "nothing", "host": "nothing"}
        record("while a model runs", fault, own.failure, **left, names=folder)


def test_a_model_that_changes_while_it_is_timed_is_not_reported(
    phone: ShellPhone, program: Path, tmp_path: Path
) -> None:
    own = job(tmp_path)
    with pytest.raises(ValidationError, match=r"net\.tflite was changed while it was timed"):
        measure_averages(
            phone.link, [own], program, 1, plan=PLAN, progress=lambda *_: own.path.write_bytes(b"x")
        )


def test_a_program_for_another_cpu_reaches_no_phone(tmp_path: Path, program: Path) -> None:
    phone = shell_phone(tmp_path / "phone", {"ro.product.cpu.abi": "armeabi-v7a"})
    with pytest.raises(InputError, match="and the phone is armeabi-v7a") as got:
        measure_averages(phone.link, [job(tmp_path)], program, 1, plan=PLAN)
    assert list(Path(phone.link.folder).iterdir()) == []
    names = {str(program): "PATH"}
    record(
        "preparing the board",
        "benchmark_model for another CPU (Android)",
        got.value,
        board="nothing",
        host="nothing",
        names=names,
    )


def test_a_phone_that_is_lost_keeps_what_was_timed_before(
    phone: ShellPhone, program: Path, tmp_path: Path
) -> None:
    """Settings cannot be restored then: the error names the commands."""

    def lose(_: str, done: int, __: int) -> None:
        if done == 1:
            sh = phone.state.parent / "bin" / "sh"
            sh.write_text("#!/bin/false\n")
            sh.chmod(0o755)

    own = measure_averages(phone.link, [job(tmp_path)], program, 2, plan=PLAN, progress=lose)
    assert isinstance(own[0].failure, DeviceError)
    assert own[0].timing is not None
    assert len(own[0].timing.valid) == 1
