"""Processes that others or the machine spoiled do not count; the reason is kept."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tinyml.core.errors import DeviceError
from tinyml.core.machine_state import MachineState, Meanwhile
from tinyml.core.measurement import Conditions, Measurement, Process
from tinyml.core.time_ratio import time_ratio
from tinyml.core.timing_plan import TimingPlan
from tinyml.core.validity import split, what_was_discarded, why_too_few

CONDITIONS = Conditions(device="this machine", threads=1, cores=2)
CALM = MachineState(0.1, 0, 0, 0, "ondemand", 2_400_000, 50_000, False, 0)
PI = replace(CALM, firmware_bits=0, cores_online="0-3", wall_ns=0, boot_ns=0)


def process(before: MachineState = CALM, wall_us: int = 1000, **after: Any) -> Process:
    """A process of 100 calls in 0.1 s; ``after`` is what changed."""
    changed = replace(before, **after)
    samples, cpu = (wall_us * 1000,) * 100, (1_000_000,) * 100
    return Process(
        samples, 10, 1, 1, None, cpu, 100, 100_000_000, True, before=before, after=changed
    )


def measured(*processes: Process, conditions: Conditions = CONDITIONS) -> Measurement:
    valid, discarded = split(
        [replace(own, turn=turn) for turn, own in enumerate(processes)], conditions
    )
    return Measurement(
        "m.onnx",
        "0" * 64,
        "whole",
        "onnxruntime",
        "1.32",
        valid,
        conditions,
        "host",
        discarded=discarded,
    )


def busy(percent: int = 74) -> Process:
    return process(run_queue_ns=percent * 1_000_000)


@pytest.mark.parametrize(
    ("own", "kind", "reason"),
    [
        (busy(), "busy", "other processes used 74% of this core"),
        (process(steal_ns=12_000_000), "busy", "other processes used 12% of this core"),
        (
            process(run_queue_ns=6_000_000, steal_ns=6_000_000),
            "busy",
            "other processes used 12% of this core",
        ),
        (process(wall_us=1200), "busy", "wall time is 1.20 times CPU time"),
        (process(pressure_ns=30_000_000), "busy", "processes waited for a core in 30% of the time"),
        (
            process(governor="powersave"),
            "changed",
            "the governor changed from ondemand to powersave",
        ),
        (
            process(frequency_khz=1_200_000),
            "changed",
            "the CPU's frequency changed from 2.40 to 1.20 GHz",
        ),
        (
            process(temperature_mc=62_000),
            "changed",
            "the CPU's temperature rose from 50 to 62 °C",
        ),
        (
            replace(process(), meanwhile=Meanwhile(5, lowest_khz=1_200_000)),
            "changed",
            "the CPU's frequency changed from 2.40 to 1.20 GHz",
        ),
        (
            replace(process(), meanwhile=Meanwhile(5, hottest_mc=62_000)),
            "changed",
            "the CPU's temperature rose from 50 to 62 °C",
        ),
        (
            replace(
                process(replace(PI, firmware_bits=0x40000)),
                meanwhile=Meanwhile(5, firmware_bits=0x40004),
            ),
            "changed",
            "the firmware reports throttled",
        ),
        (process(throttled=1), "changed", "the CPU was throttled"),
        (
            process(PI, firmware_bits=0x60000, throttled=6),
            "changed",
            "the firmware reports frequency capped, throttled",
        ),
        (
            process(PI, firmware_bits=0x50005, throttled=5, is_throttled=True),
            "changed",
            "the firmware reports under-voltage, throttled: the power supply is too weak",
        ),
        (
            process(PI, firmware_bits=0x10001, throttled=1, is_throttled=True),
            "changed",
            "the firmware reports under-voltage: the power supply is too weak",
        ),
        (
            process(PI, wall_ns=3_700_000_000_000, boot_ns=100_000_000),
            "changed",
            "the clock jumped by +3699.9 s",
        ),
        (
            process(PI, wall_ns=0, boot_ns=200_000_000),
            "changed",
            "the clock jumped by -0.2 s",
        ),
        (
            process(PI, cores_online="0-1"),
            "changed",
            "the cores that are on changed from 0-3 to 0-1",
        ),
        (process(replace(CALM, is_throttled=True)), "changed", "the CPU was throttled"),
        (
            process(run_queue_ns=74_000_000, frequency_khz=1_200_000),
            "changed",
            "the CPU's frequency changed from 2.40 to 1.20 GHz",
        ),
    ],
)
def test_a_spoilt_process_does_not_count(own: Process, kind: str, reason: str) -> None:
    found = measured(process(), own, process())
    assert found.processes == tuple(replace(process(), turn=turn) for turn in (0, 2))
    (left,) = found.discarded
    assert (left.process, left.kind, left.reason) == (replace(own, turn=1), kind, reason)


@pytest.mark.parametrize(
    "own",
    [
        process(run_queue_ns=9_000_000, pressure_ns=20_000_000),
        process(wall_us=1080),
        process(frequency_khz=2_300_000, temperature_mc=58_000),
        process(MachineState()),
        process(replace(PI, firmware_bits=0x50000), wall_ns=10**11, boot_ns=10**11 - 5_000_000),
        replace(process(), cpu_ns=(), elapsed_ns=None),
        replace(process(), samples_ns=(4_000,) * 9, cpu_ns=(2_500,) * 9),
    ],
    ids=["little", "wall", "warmer", "unknown", "since boot", "old file", "microseconds"],
)
def test_what_hardly_disturbs_or_is_unknown_counts(own: Process) -> None:
    assert measured(own).discarded == ()


def test_a_process_at_another_frequency_than_the_others_does_not_count() -> None:
    slow = replace(CALM, frequency_khz=1_500_000)
    found = measured(process(), process(slow), process())
    assert [own.reason for own in found.discarded] == [
        "the CPU's frequency changed from 2.40 to 1.50 GHz"
    ]
    other = replace(CALM, governor="performance")
    found = measured(process(), process(other))
    assert found.discarded[0].reason == "the governor changed from ondemand to performance"


def test_between_calls_of_a_period_the_frequency_may_change() -> None:
    own = process(frequency_khz=1_200_000)
    paced = TimingPlan(period_s=0.1, between="sleep")
    assert split([own], CONDITIONS, paced)[1] == ()
    assert split([process(throttled=1)], CONDITIONS, paced)[0] == ()


def test_on_an_emulated_board_only_the_firmware_is_judged() -> None:
    host = process(run_queue_ns=74_000_000, frequency_khz=1_200_000, throttled=1, wall_us=2000)
    assert len(measured(host).discarded) == 1
    assert split([host], CONDITIONS, emulated=True) == ((host,), ())
    (left,) = split([process(PI, firmware_bits=0x40004)], CONDITIONS, emulated=True)[1]
    assert (left.kind, left.reason) == ("changed", "the firmware reports throttled")


def test_threads_that_wait_for_each_other_are_not_others() -> None:
    waiting = process(run_queue_ns=74_000_000, pressure_ns=90_000_000, wall_us=2000)
    two, four = (replace(CONDITIONS, threads=threads) for threads in (2, 4))
    (left,) = measured(waiting, conditions=two).discarded
    assert left.reason == "its threads waited for a core 74% of the time"
    assert measured(waiting, conditions=four).discarded == ()
    assert measured(process(wall_us=2000), conditions=two).discarded == ()


def test_a_busy_machine_is_named_and_has_no_verdict() -> None:
    a = measured(*[busy(70 + turn) for turn in range(9)], process())
    assert why_too_few(a) == (
        "machine too busy: other processes used 74% of this core (9 of 10 processes discarded)"
    )
    found = time_ratio(a, measured(*[process()] * 10))
    assert (found.verdict, found.why) == ("no verdict", why_too_few(a))
    assert what_was_discarded(a) == (
        "9 of 10 processes discarded: other processes used 74% of this core"
    )
    assert what_was_discarded(measured(busy())).startswith("machine too busy: ")
    assert why_too_few(measured(process())) == what_was_discarded(measured(process())) == ""
    changed = measured(process(throttled=1))
    assert why_too_few(changed) == (
        "the machine changed: the CPU was throttled (1 of 1 processes discarded)"
    )


def test_where_no_process_counts_no_time_is_known() -> None:
    found = measured(busy())
    assert (found.p50_ns, found.p99_ns, found.min_ns, found.variation) == (None,) * 4
    assert (found.load_ns, found.calls_per_s) == (None, None)
    assert time_ratio(found, found).ratio is None


def test_the_cpu_clock_counts_what_a_busy_machine_spoilt_but_not_what_a_changed_one_did() -> None:
    found = measured(busy(), process(wall_us=5000), process(throttled=1), process())
    on_cpu = found.on_cpu_clock()
    assert [own.turn for own in on_cpu.processes] == [0, 1, 3]
    assert [own.kind for own in on_cpu.discarded] == ["changed"]
    assert (on_cpu.clock, on_cpu.p50_ns) == ("cpu", 1_000_000)
    assert on_cpu.on_cpu_clock() == on_cpu
    many = measured(*[busy()] * 5).on_cpu_clock()
    assert time_ratio(many, many).verdict == "no difference shown"


def test_cpu_time_is_never_compared_with_wall_time() -> None:
    found = measured(*[process()] * 5)
    assert "clock (wall and cpu)" in time_ratio(found, found.on_cpu_clock()).why


def test_cpu_time_that_was_not_recorded_is_named() -> None:
    old = measured(replace(process(), cpu_ns=()))
    with pytest.raises(DeviceError, match=r"the CPU time of m\.onnx was not recorded"):
        old.on_cpu_clock()
