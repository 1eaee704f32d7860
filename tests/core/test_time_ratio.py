"""A verdict on speed only where there can be one, and hardly ever a wrong one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tinyml.core.measurement import Conditions, Measurement, Process
from tinyml.core.time_ratio import LEAST_PROCESSES, TimeRatio, time_ratio
from tinyml.core.timing_plan import FULL, QUICK

CONDITIONS = Conditions(device="this machine", threads=1, governor="performance")


def measured(
    seed: int, *, us: float = 1000.0, processes: int = 7, spread: float = 0.05, slow: float = 0.0
) -> Measurement:
    """Starts that differ by ``spread``, some of them ``slow`` for their whole life."""
    random = np.random.default_rng(seed)
    starts = us * np.exp(random.normal(0, spread, processes))
    starts *= np.where(random.random(processes) < slow, 2.0, 1.0)
    runs = tuple(
        Process(tuple(map(int, 1e3 * start * np.exp(random.normal(0, 0.02, 20)))), 10, 1, 1, None)
        for start in starts
    )
    return Measurement("m.onnx", "0" * 64, "whole", "onnxruntime", "1.32", runs, CONDITIONS, "host")


@pytest.mark.parametrize(
    ("us", "verdict"), [(700.0, "faster"), (1400.0, "slower"), (1000.0, "no difference shown")]
)
def test_the_verdict_is_of_b(us: float, verdict: str) -> None:
    found = time_ratio(measured(1), measured(2, us=us))
    assert found.verdict == verdict
    assert found.ratio is not None
    assert found.low is not None
    assert found.high is not None
    assert found.low <= found.ratio <= found.high
    assert found.ratio == pytest.approx(us / 1000, rel=0.1)
    assert (found.low <= 1 <= found.high) == (verdict == "no difference shown")


@pytest.mark.parametrize(("us", "verdict"), [(1030.0, "no difference shown"), (1150.0, "slower")])
def test_a_difference_below_5_percent_is_none(us: float, verdict: str) -> None:
    found = time_ratio(measured(1, spread=0.002), measured(2, us=us, spread=0.002))
    assert found.low is not None
    assert found.low > 1
    assert found.verdict == verdict


@pytest.mark.parametrize(
    ("ratio", "low", "high", "margin", "undecided"),
    [
        (1.10, 1.03, 1.20, 0.05, True),
        (1.10, 1.06, 1.20, 0.05, False),
        (1.04, 0.90, 1.20, 0.05, False),
        (0.90, 0.80, 0.97, 0.05, True),
        (0.90, 0.80, 0.94, 0.05, False),
        (1.12, 1.06, 1.20, 0.10, True),
        (1.10, None, None, 0.05, False),
    ],
)
def test_what_more_turns_may_decide(
    ratio: float, low: float | None, high: float | None, margin: float, undecided: bool
) -> None:
    found = TimeRatio(ratio, low, high, "no difference shown")
    assert found.is_undecided(margin) == undecided


def test_the_other_way_round_is_the_other_verdict() -> None:
    assert time_ratio(measured(2, us=700), measured(1)).verdict == "slower"


def test_a_measurement_does_not_differ_from_itself() -> None:
    same = measured(1)
    found = time_ratio(same, same)
    assert (found.ratio, found.verdict) == (1.0, "no difference shown")


@pytest.mark.parametrize("slow", [0.0, 0.15])
def test_equal_files_are_called_different_in_few_comparisons(slow: float) -> None:
    """With the fewest processes allowed; 5 in 100 and their own chance (2 sigma) of more."""
    trials = 150
    wrong = sum(
        time_ratio(*(measured(2 * i + j, processes=5, slow=slow) for j in (0, 1))).verdict
        != "no difference shown"
        for i in range(trials)
    )
    assert wrong <= 0.05 * trials + 2 * (0.05 * 0.95 * trials) ** 0.5


def in_turns(m: Measurement, drift: list[float]) -> Measurement:
    """``m`` with its processes in the turns 0, 1, ..., slowed down by the ``drift`` of each."""
    runs = tuple(
        replace(p, turn=turn, samples_ns=tuple(int(ns * slower) for ns in p.samples_ns))
        for turn, (p, slower) in enumerate(zip(m.processes, drift, strict=True))
    )
    return replace(m, processes=runs)


def test_a_drift_that_both_share_does_not_widen_the_interval() -> None:
    drift = [1.0, 1.3, 0.9, 1.2, 1.0, 1.4, 1.1]
    a, b = measured(1, spread=0.005), measured(2, us=1100, spread=0.005)
    found = time_ratio(in_turns(a, drift), in_turns(b, drift))
    apart = time_ratio(in_turns(a, drift), in_turns(b, drift[::-1]))
    assert found.verdict == "slower"
    assert apart.verdict == "no difference shown"


def test_a_turn_in_which_one_does_not_count_is_left_out_of_the_interval() -> None:
    drift = [1.0] * 7
    a, b = in_turns(measured(1), drift), in_turns(measured(2, us=1400), drift)
    fewer = replace(b, processes=b.processes[:-1])
    same = replace(a, processes=a.processes[:-1])
    found, want = time_ratio(a, fewer), time_ratio(same, fewer)
    assert (found.low, found.high) == (want.low, want.high)


@pytest.mark.parametrize("slow", [0.0, 0.15])
def test_equal_files_in_turns_are_called_different_in_few_comparisons(slow: float) -> None:
    trials, drift = 150, [1.0] * LEAST_PROCESSES
    wrong = sum(
        time_ratio(
            *(in_turns(measured(2 * i + j, processes=5, slow=slow), drift) for j in (0, 1))
        ).verdict
        != "no difference shown"
        for i in range(trials)
    )
    assert wrong <= 0.05 * trials + 2 * (0.05 * 0.95 * trials) ** 0.5


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"conditions": replace(CONDITIONS, threads=2)}, "threads (1 and 2)"),
        (
            {"conditions": replace(CONDITIONS, governor="powersave")},
            "governor (performance and pow",
        ),
        ({"conditions": replace(CONDITIONS, device="rpi4")}, "device (this machine and rpi4)"),
        ({"label": "emulated"}, "label (host and emulated)"),
        ({"version": "1.30"}, "onnxruntime (1.32 and 1.30)"),
        ({"part": "front end"}, "part (whole and front end)"),
    ],
)
def test_what_was_measured_otherwise_gets_no_verdict_and_no_ratio(
    changes: dict[str, object], why: str
) -> None:
    found = time_ratio(measured(1), replace(measured(2, us=100), **changes))  # type: ignore[arg-type]
    assert (found.verdict, found.ratio, found.low) == ("no verdict", None, None)
    assert why in found.why


def test_other_warm_ups_are_another_measurement() -> None:
    cold = measured(2)
    cold = replace(cold, processes=tuple(replace(p, warmups=0) for p in cold.processes))
    assert "warm-ups (10 and 0)" in time_ratio(measured(1), cold).why


def test_calls_that_were_timed_otherwise_get_no_verdict() -> None:
    full, quick, unknown = (replace(measured(2), plan=plan) for plan in (FULL, QUICK, None))
    assert "min_samples (100 and 20)" in time_ratio(full, quick).why
    assert "timing plan (unknown and known)" in time_ratio(unknown, full).why
    assert time_ratio(full, full).verdict == "no difference shown"


def test_another_delegate_of_the_same_runtime_is_another_condition() -> None:
    other = replace(measured(2), delegate="none")
    assert "delegate (default and none)" in time_ratio(measured(1), other).why
    assert time_ratio(measured(1), replace(other, runtime="litert")).verdict != "no verdict"


def test_two_runtimes_can_be_compared() -> None:
    other = replace(measured(2, us=500), runtime="litert", version="2.3")
    assert time_ratio(measured(1), other).verdict == "faster"


def test_too_few_processes_give_a_ratio_without_a_verdict() -> None:
    few = measured(2, us=100, processes=LEAST_PROCESSES - 1)
    found = time_ratio(measured(1), few)
    assert (found.verdict, found.low) == ("no verdict", None)
    assert found.ratio == pytest.approx(0.1, rel=0.1)
    assert "7 and 4 processes: an interval needs 5 of each" in found.why


def test_each_process_counts_as_much_however_many_calls_it_timed() -> None:
    even = measured(2, us=700, processes=6)
    first = even.processes[0]
    longer = replace(first, samples_ns=first.samples_ns * 500)
    odd = replace(even, processes=(longer, *even.processes[1:]))
    want, found = time_ratio(measured(1), even), time_ratio(measured(1), odd)
    assert (found.ratio, found.low, found.high) == pytest.approx(
        (want.ratio, want.low, want.high), rel=0.01
    )


def test_a_process_without_a_timed_call_does_not_count() -> None:
    run = measured(2, processes=5)
    short = replace(run, processes=(*run.processes[:4], replace(run.processes[4], samples_ns=())))
    assert "7 and 4 processes" in time_ratio(measured(1), short).why
