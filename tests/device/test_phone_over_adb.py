"""A phone that the real ``adb`` reaches, and what is left there when it fails."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from boards import PhoneServer, phone_server
from device_faults import record
from emulated_board.phone import write_programs
from phones import HERE, benchmark_model
from processes import wait_for

from tinyml.core.errors import DeviceError
from tinyml.core.timing_plan import TimingPlan
from tinyml.device import adb
from tinyml.device.android import phone_facts
from tinyml.device.link import Link
from tinyml.device.measure import Job
from tinyml.device.measure_averages import AverageResult, measure_averages

PLAN = TimingPlan(min_samples=20, min_time_s=0.0, max_time_s=0.2, warmups=1)


@dataclass(frozen=True, slots=True)
class AdbPhone:
    server: PhoneServer
    state: Path

    @property
    def fixed(self) -> str:
        """What the fixed performance mode was set to last."""
        path = self.state / "fixed"
        return path.read_text().strip() if path.exists() else ""


@pytest.fixture
def phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AdbPhone]:
    own = tmp_path / "adb"
    state = own / "state"
    for name in ("bin", "state/settings"):
        (own / name).mkdir(parents=True)
    write_programs(own / "bin", state, there=str(state), properties=HERE)
    runner = ("env", f"PATH={own / 'bin'}:/usr/bin:/bin", "/bin/sh", "-c")
    with phone_server(own, runner=runner) as server:
        server.use(monkeypatch)
        yield AdbPhone(server, state)


def job(folder: Path, name: str = "net.tflite") -> Job:
    (folder / name).write_bytes(b"xxxxTFL3" + bytes(20_000))
    return Job(folder / name, "litert", {"x": np.zeros(1, np.float32)})


def left(phone: AdbPhone) -> list[str]:
    return sorted(own.name for own in phone.server.home.iterdir())


def timed(link: Link, own: Job, repeats: int = 1, **more: object) -> AverageResult:
    (found,) = measure_averages(
        link,
        [own],
        benchmark_model(),
        repeats,
        plan=PLAN,
        **more,  # type: ignore[arg-type]
    )
    return found


def test_a_model_is_timed_over_adb_and_nothing_is_left(phone: AdbPhone, tmp_path: Path) -> None:
    with adb.open_link(phone.server.device) as link:
        assert phone_facts(link).model == "Emulated Phone"
        found = timed(link, job(tmp_path, "it's $(a) model.tflite"))
    assert found.timing is not None
    assert len(found.timing.valid) == 1
    assert (phone.fixed, left(phone)) == ("false", [])


def test_a_program_that_hangs_is_killed_there(phone: AdbPhone, tmp_path: Path) -> None:
    with adb.open_link(phone.server.device) as link:
        command = [link.push(benchmark_model(), "program")]
        link.run(["chmod", "755", command[0]], timeout_s=10)
        model = link.push(job(tmp_path, "hang.tflite").path, "hang.tflite")
        with pytest.raises(DeviceError, match=r"did not end within 0\.5 s") as got:
            link.run([*command, f"--graph={model}"], timeout_s=0.5)
    assert left(phone) == []
    record("while a model runs", "hang (Android)", got.value, board="nothing", host="nothing")


def test_a_phone_that_is_unplugged_in_mid_run_keeps_what_was_timed(
    phone: AdbPhone, tmp_path: Path
) -> None:
    def unplug(_: str, done: int, __: int) -> None:
        if done == 1:
            phone.server.process.send_signal(signal.SIGKILL)

    with adb.open_link(phone.server.device) as link:
        found = timed(link, job(tmp_path), 3, progress=unplug)
    assert found.failure is not None
    assert found.timing is not None
    assert len(found.timing.valid) == 1
    (detail,) = found.failure.details
    assert "adb shell cmd power set-fixed-performance-mode-enabled false" in detail
    record(
        "while a model runs",
        "phone unplugged (Android)",
        found.failure,
        board="its settings, until the commands shown are run",
        host="what was timed before, in the JSON file",
    )


@pytest.mark.usefixtures("hears_ctrl_c")
def test_ctrl_c_restores_the_phone(phone: AdbPhone, tmp_path: Path) -> None:
    def interrupt(*_: object) -> None:
        timer = threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT))
        timer.start()

    with (
        pytest.raises(KeyboardInterrupt),
        adb.open_link(phone.server.device) as link,
    ):
        timed(link, job(tmp_path, "hang.tflite"), progress=interrupt)
    assert phone.fixed == "false"
    wait_for(lambda: left(phone) == [])
    message = ("interrupted: run the same command again to resume", 130)
    record(
        "two users, or interrupted",
        "Ctrl-C while a model runs (Android)",
        message,
        board="nothing; its settings are restored",
        host="nothing",
    )
