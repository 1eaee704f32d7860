"""What a process samples and when it ends, and what it reads of the machine's state."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinyml.core.machine_state import MachineState
from tinyml.core.typed_json import from_json
from tinyml.runtimes.runner import machine, timing
from tinyml.runtimes.runner.main import main, parse
from tinyml.runtimes.runner.timing import Caller

SHORT = ("--warmup", 1, "--min-time", 0)


class Doubling:
    """A model whose calls take ``work``; it keeps what it was given."""

    def __init__(self, work: Callable[[], object] = lambda: None) -> None:
        self.seen: list[int] = []
        self.work = work

    def run(self, feeds: dict[str, Any]) -> dict[str, Any]:
        self.seen.append(int(feeds["count"][0]))
        self.work()
        return {"next": feeds["count"] * 2}


def caller(model: Any, states: dict[str, str] | None = None, threads: int = 1) -> Caller:
    return Caller(model, {"count": np.array([1])}, states or {}, threads)


def options(*more: object) -> Any:
    return parse(["m", "--runtime", "litert", "--inputs", "i", *map(str, more)])


def test_an_output_becomes_the_input_of_the_next_call() -> None:
    model = Doubling()
    feeds = {"count": np.array([1])}
    call = Caller(model, feeds, {"count": "next"}, 1)
    found, first = timing.measure(call, options("--runs", 4, *SHORT))
    assert model.seen == [1, 2, 4, 8, 16, 32]
    assert first["next"] == 2
    assert len(found["samples_ns"]) == 4
    assert feeds["count"] == 1


def test_the_cpu_time_of_a_call_leaves_out_what_it_sleeps() -> None:
    call = caller(Doubling(lambda: time.sleep(0.01)))
    wall, cpu, _ = call()
    assert wall > 9_000_000
    assert cpu < wall / 2
    assert call.cpu_clock is time.thread_time_ns
    assert caller(Doubling(), threads=2).cpu_clock is time.process_time_ns


class Steps:
    """A call whose wall times come from a list, then stay at the last one."""

    def __init__(self, *walls_ms: float) -> None:
        self.walls = list(walls_ms)
        self.now_ns = 0

    def __call__(self) -> tuple[int, int, dict[str, Any]]:
        wall = self.walls.pop(0) if len(self.walls) > 1 else self.walls[0]
        wall_ns = round(wall * 1e6)
        self.now_ns += wall_ns
        return wall_ns, wall_ns, {}


NOW = timing.Pause(None, None)


def on_its_clock(call: Steps, monkeypatch: pytest.MonkeyPatch) -> Any:
    """``call``, and time passes with its calls alone."""
    monkeypatch.setattr(timing.time, "perf_counter_ns", lambda: call.now_ns)
    return call


def test_the_warm_up_ends_when_the_time_of_a_call_is_stable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    call = on_its_clock(Steps(*[40.0] * 5, *[30.0] * 5, 20.0), monkeypatch)
    assert timing.warm_up(call, None) == (20, True)


def test_a_warm_up_that_does_not_settle_ends_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    call = on_its_clock(Steps(*(1.1**step for step in range(200))), monkeypatch)
    assert timing.warm_up(call, None)[1] is False
    assert 2e9 < call.now_ns < 3e9
    slow = on_its_clock(Steps(3000.0), monkeypatch)
    assert timing.warm_up(slow, None) == (1, False)


@pytest.mark.parametrize(
    ("wall_ms", "calls"),
    [(0.3, 1667), (10.0, 100), (200.0, 50), (20_000.0, 1)],
    ids=["min-time", "runs", "max-time", "one call"],
)
def test_a_process_ends_at_its_samples_and_its_time(
    wall_ms: float, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """100 samples and 0.5 s, or 10 s."""
    call = on_its_clock(Steps(wall_ms), monkeypatch)
    assert timing.sample(call, options(), NOW)["calls"] == calls


def test_very_many_samples_are_thinned_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    call = on_its_clock(Steps(*(0.01 + step / 1e6 for step in range(30_000))), monkeypatch)
    found = timing.sample(call, options("--runs", 30_000, "--min-time", 0), NOW)
    assert (found["calls"], len(found["samples_ns"])) == (30_000, 7_500)
    assert set(np.diff(found["samples_ns"])) == {4}
    assert len(found["cpu_ns"]) == 7_500


def test_the_machine_is_read_between_calls_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = on_its_clock(Steps(10.0), monkeypatch)
    kilohertz = iter([1_800_000, 1_200_000, None, 1_700_000])
    monkeypatch.setattr(machine, "frequency_khz", lambda: next(kilohertz))
    monkeypatch.setattr(machine, "sensor_mc", lambda: 40_000 + call.now_ns // 10**7)
    (tmp_path / "throttled").write_text("50000\n")
    monkeypatch.setattr(machine, "PI_THROTTLED", str(tmp_path / "throttled"))
    found = timing.sample(call, options("--runs", 45, "--min-time", 0), NOW)["meanwhile"]
    known = {"lowest_khz": 1_200_000, "hottest_mc": 40_040, "firmware_bits": 0x50000}
    assert found == {"readings": 4, **known}


@pytest.mark.parametrize("between", ["sleep", "evict"])
def test_a_pause_is_the_rest_of_a_period(between: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "evicting_bytes", lambda: 1 << 20)
    pause = timing.Pause(0.01, between)
    starts = [pause.last]
    for _ in range(3):
        pause()
        starts.append(pause.last)
    assert min(np.diff(starts)) >= 10_000_000
    assert (pause.memory.max() > 0) if between == "evict" else not pause.memory.size


def test_a_call_that_takes_longer_than_its_period_does_not_make_up_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    call = on_its_clock(Steps(30.0, 2.0), monkeypatch)

    def sleep(seconds: float) -> None:
        call.now_ns += round(seconds * 1e9)

    monkeypatch.setattr(timing.time, "sleep", sleep)
    found = timing.sample(call, options("--runs", 3, "--min-time", 0), timing.Pause(0.01, "sleep"))
    assert found["elapsed_ns"] == 52_000_000  # Calls at 10, 40 and 50 ms.


@pytest.mark.parametrize(
    ("sizes", "mib"), [((), 32), (("32K", "1024K"), 2), (("48K", "491520K"), 128)]
)
def test_what_evicts_is_larger_than_the_caches(
    sizes: tuple[str, ...], mib: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place, size in enumerate(sizes):
        write_files(tmp_path, {f"cpu0/cache/index{place}/size": size})
    monkeypatch.setattr(machine, "CPUS", f"{tmp_path}/")
    assert machine.evicting_bytes() == mib << 20


def test_a_clock_that_is_set_back_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", iter(range(10**9, 0, -3600)).__next__)
    found, _ = timing.measure(caller(Doubling()), options("--runs", 4, *SHORT))
    assert min(found["samples_ns"]) >= 0
    assert found["elapsed_ns"] >= sum(found["samples_ns"])


def write_files(folder: Path, texts: dict[str, str]) -> None:
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_reads_the_state_of_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the files of a Raspberry Pi and of a PC."""
    read, find = machine.read_text, machine.glob.glob
    monkeypatch.setattr(machine, "read_text", lambda path: read(f"{tmp_path}{path}"))
    monkeypatch.setattr(
        machine.glob,
        "glob",
        lambda pattern: [own.removeprefix(f"{tmp_path}") for own in find(f"{tmp_path}{pattern}")],
    )
    monkeypatch.setattr(machine, "allowed", lambda: [0, 1])
    monkeypatch.setattr(machine, "clocks", lambda: {"wall_ns": 7, "boot_ns": 5})
    monkeypatch.setattr(machine.shutil, "which", lambda name: None)
    known = {"affinity": (0, 1), "wall_ns": 7, "boot_ns": 5}
    assert from_json(MachineState, machine.state()) == MachineState(**known)
    tick_ns = 10**9 // os.sysconf("SC_CLK_TCK")
    write_files(
        tmp_path,
        {
            "proc/loadavg": "0.50 0.40 0.30 1/200 4711\n",
            "proc/stat": "cpu 0\ncpu0 1 2 3 4 5 6 7 8 9 0\ncpu1 1 2 3 4 5 6 7 3 9 0\n"
            "cpu2 1 2 3 4 5 6 7 99 9 0\n",
            "proc/self/task/1/schedstat": "7 100 1\n",
            "proc/self/task/2/schedstat": "7 11 1\n",
            "proc/pressure/cpu": "some avg10=0.00 total=77\nfull avg10=0.00 total=1\n",
            "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "ondemand\n",
            "sys/devices/system/cpu/cpu1/cpufreq/scaling_governor": "ondemand\n",
            "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "600000\n",
            "sys/devices/system/cpu/cpu1/cpufreq/scaling_cur_freq": "1500000\n",
            "sys/class/thermal/thermal_zone0/temp": "48312\n",
            "sys/devices/system/cpu/online": "0-3\n",
            "proc/sys/kernel/random/boot_id": "8a1b\n",
            "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count": "3\n",
        },
    )
    found = from_json(MachineState, machine.state())
    assert found == MachineState(
        *(0.5, 111, 11 * tick_ns // 2, 77_000, "ondemand", 1_500_000, 48_312, None, 3),
        cores_online="0-3",
        boot_id="8a1b",
        **known,
    )
    write_files(tmp_path, {"sys/devices/platform/soc/soc:firmware/get_throttled": "50005\n"})
    found = from_json(MachineState, machine.state())
    assert (found.is_throttled, found.throttled) == (True, 5)
    assert found.throttle_now.text == "under-voltage, throttled"
    assert found.throttle_since_boot == found.throttle_now


def test_asks_the_firmware_where_it_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "vcgencmd"
    program.write_text(
        '#!/bin/sh\n[ $1 = measure_temp ] && echo "temp=71.4\'C" || echo throttled=0x40000\n'
    )
    program.chmod(0o755)
    monkeypatch.setattr(machine, "PI_THROTTLED", "/none")
    monkeypatch.setattr(machine.shutil, "which", lambda name: str(program))
    found = from_json(MachineState, machine.state())
    assert (found.temperature_mc, found.is_throttled, found.firmware_bits) == (
        71_400,
        False,
        1 << 18,
    )
    program.write_text("#!/bin/sh\necho VCHI initialization failed\nexit 255\n")
    assert from_json(MachineState, machine.state()).firmware_bits is None


def test_prints_the_conditions_of_the_moment(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["conditions"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert from_json(MachineState, shown["state"]).load is not None
    assert shown["machine"]["python"]
