"""What `tinyml bench` prints of records that were made up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tinyml.core.machine_state import MachineState
from tinyml.core.measurement import Conditions, Discarded, Measurement, Process
from tinyml.core.power import Power
from tinyml.core.timing_plan import FULL, QUICK
from tinyml.device.measure import Job
from tinyml.pages.tables import table
from tinyml.pipeline.bench import Benchmark
from tinyml.pipeline.bench_jobs import FRONT_END
from tinyml.pipeline.bench_text import sections
from tinyml.pipeline.timing import Timing

CPU = "Intel(R) Xeon(R) Processor"
CONDITIONS = Conditions(cpu=CPU, cores=2, device="this machine", threads=1)


def measured(ms: int = 12, **changes: Any) -> Measurement:
    """Two processes of 600 calls."""
    samples = tuple(ms * 1_000_000 + call * 1000 for call in range(600))
    after = MachineState(load=0.25)
    processes = tuple(
        Process(samples, 40, 2_000_000, 3_000_000, 61_440, samples, after=after, turn=turn)
        for turn in range(2)
    )
    whole = Measurement(
        "m.tflite", "0" * 64, "whole", "litert", "2.3.0", processes, CONDITIONS, "host", plan=FULL
    )
    return replace(whole, **changes)


def spoilt(m: Measurement) -> Measurement:
    """None of its processes counts."""
    reason = "other processes used 74% of this core"
    left = tuple(Discarded(own, "busy", reason) for own in m.processes)
    return replace(m, processes=(), discarded=left)


def text(*measurements: Measurement, cpu_time: bool = False) -> str:
    """Columns that are apart, one space between them."""
    found = sections(Benchmark(measurements, Path("b.json"), (), cpu_time))
    lines = [
        line
        for part in found
        for line in (
            part.title,
            *(table(part.head, part.rows, columns=200).splitlines() if part.rows else ()),
            *part.lines,
        )
    ]
    narrow = "\n".join(table(part.head, part.rows, indent=2, columns=80) for part in found)
    assert "…" not in narrow
    assert all(len(line) <= 80 for line in narrow.splitlines())
    return "\n".join(" ".join(line.split()) for line in lines)


def test_times_start_memory_and_the_machine_are_shown() -> None:
    shown = text(measured())
    assert "runtime part min p50 p90 p99 CV calls/s" in shown
    assert "litert whole 12.000 12.300 12.539 12.593 1% 81" in shown
    assert "runtime part load ms first ms peak MB valid calls" in shown
    assert "litert whole 2.000 3.000 60 2 of 2 1,200" in shown
    assert shown.endswith(
        f"machine\n{CPU}, 2 cores, litert 2.3.0, governor unknown, load average 0.2 to 0.2"
    )


def on_board(before: MachineState, after: MachineState) -> str:
    m = measured(label="device")
    processes = tuple(replace(own, before=before, after=after) for own in m.processes)
    return text(replace(m, processes=processes)).splitlines()[-1].partition("load average")[2]


def test_of_a_board_its_heat_is_shown_too() -> None:
    cool = MachineState(0.2, temperature_mc=48_300, is_throttled=False, firmware_bits=0x50000)
    warm = replace(cool, temperature_mc=55_000)
    assert on_board(cool, warm).endswith(
        ", temperature 48 to 55 °C, not throttled, since the board was started: under-voltage, "
        "throttled"
    )
    assert on_board(cool, replace(warm, is_throttled=True, firmware_bits=0)).endswith(", throttled")
    unknown = MachineState(0.2)
    assert on_board(unknown, unknown).endswith("temperature unknown, throttling unknown")


def test_the_energy_of_a_call_is_shown_with_its_meter() -> None:
    power = Power("pmic", (2.0, 2.2), (4.0, 4.2), 100, 10**9)
    m = measured()
    processes = tuple(replace(own, power=power) for own in m.processes)
    line = "litert, whole: 41 mJ a call, 20 mJ of it above idle (4.10 W busy, 2.10 W idle, by pmic)"
    assert line in text(replace(m, processes=processes))


def test_the_network_is_the_difference_for_each_number_of_threads() -> None:
    both = [
        replace(m, conditions=replace(CONDITIONS, threads=threads))
        for threads in (1, 2)
        for m in (measured(12), measured(4, model="front-end-m.tflite", part=FRONT_END))
    ]
    found = Benchmark(tuple(both), Path("b.json"), ())
    assert [(own.threads, own.p50_ns) for own in found.report.networks] == [
        (1, 8_000_000),
        (2, 8_000_000),
    ]
    shown = text(*both)
    assert "runtime part threads min p50" in shown
    assert "litert network (difference) 2 8.000" in shown
    assert "the network is a difference of medians, 8.000 to 8.000 ms turn by turn" in shown


def test_a_busy_machine_has_no_times_and_the_way_out_is_named() -> None:
    shown = text(spoilt(measured()), measured(5, runtime="onnxruntime"))
    assert "litert whole - - - - - -" in shown
    assert "litert whole - - 60 0 of 2 0" in shown
    assert (
        "litert, whole: machine too busy: other processes used 74% of this core "
        "(2 of 2 processes discarded)\n--cpu-time shows CPU times" in shown
    )
    cpu = text(spoilt(measured()), cpu_time=True)
    assert cpu.startswith("CPU time of a call, ms\n")
    assert "litert whole 12.000 12.300" in cpu
    assert "too busy" not in cpu


def test_warm_and_as_deployed_are_next_to_each_other() -> None:
    paced = replace(FULL, period_s=0.1, between="evict")
    shown = text(measured(), measured(40, plan=paced))
    assert "litert whole 12.000 12.300" in shown
    assert "litert whole, as deployed 40.000 40.300" in shown
    assert "as deployed: one call every 100 ms, work on other memory in between" in shown


def test_each_whole_file_is_timed_both_ways() -> None:
    job = Job(Path("m.onnx"), "onnxruntime", {})
    timing = Timing(threads=(1, 2), period_s=0.1)
    jobs = timing.jobs([job, replace(job, part=FRONT_END)])
    assert [(own.part, own.threads, own.plan and own.plan.pace) for own in jobs] == [
        *((part, threads, None) for part in ("whole", FRONT_END) for threads in (1, 2)),
        *(("whole", threads, "one call every 100 ms, sleep in between") for threads in (1, 2)),
    ]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"plan": QUICK}, "quick: a first look, too short to rely on"),
        (
            {"processes": (replace(measured().processes[0], is_stable=False),)},
            "litert, whole: not stable after the warm-up in 1 of 1 processes",
        ),
        ({"conditions": replace(CONDITIONS, pinned_cpu=1)}, "pinned to core 1"),
    ],
)
def test_what_limits_a_measurement_is_shown(changes: dict[str, Any], line: str) -> None:
    assert line in text(replace(measured(), **changes))
    assert line not in text(measured())
