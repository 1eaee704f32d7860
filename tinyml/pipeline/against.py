"""A benchmark against an older one: each file with its baseline, and the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tinyml.core.errors import DeviceError
from tinyml.core.measurement import WHOLE, Measurement
from tinyml.core.time_ratio import TimeRatio, time_ratio
from tinyml.pipeline.bench import Benchmark, read_benchmark
from tinyml.pipeline.compare_latency import LatencyPair, setup_text


def against(found: Benchmark, baseline: Path) -> tuple[LatencyPair, ...]:
    """The whole of each file of ``found`` (B) with its counterpart in ``baseline`` (A).

    That is the measurement in the same runtime, threads and pace, of the file of the same name
    where there are several. Raises `InputError` when ``baseline`` cannot be read, `DeviceError`
    where it holds a phone's averages.
    """
    stored = read_benchmark(baseline)
    before, averages = stored.measurements, stored.averages
    if averages and not before:
        raise DeviceError(
            f"{baseline} holds averages of {averages[0].program}: no verdict from them"
        )
    if found.cpu_time:
        before = tuple(m.on_cpu_clock() for m in before)
    return tuple(_pair(m, before) for m in found.shown if m.part == WHOLE)


def _pair(m: Measurement, before: Sequence[Measurement]) -> LatencyPair:
    alike = [own for own in before if own.part == WHOLE and own.runtime == m.runtime]
    named = [own for own in alike if own.model == m.model] or alike
    same = [own for own in named if own.setup == m.setup] or named
    if same:
        return LatencyPair(same[0], m, time_ratio(same[0], m))
    why = f"the baseline has no measurement in {m.runtime}"
    return LatencyPair(None, m, TimeRatio(None, None, None, "no verdict", why))


def verdicts(pairs: Sequence[LatencyPair]) -> dict[str, TimeRatio]:
    """The results by the name of what was timed: the runtime and what sets it apart."""
    named: dict[str, TimeRatio] = {}
    for pair in pairs:
        m = pair.b or pair.a
        name = "latency" if m is None else m.runtime + setup_text(m)
        if name in named and m is not None:
            name = f"{name}, {m.model}"
        named[name] = pair.result
    return named
