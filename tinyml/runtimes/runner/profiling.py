"""The time of each operator of one model file, and of whole calls with and without a profiler."""

from __future__ import annotations

import statistics
import time
from typing import Any

from tinyml.runtimes.runner.errors import RunnerError
from tinyml.runtimes.runner.loading import Loaded
from tinyml.runtimes.runner.profile_litert import LiteRtProfiler
from tinyml.runtimes.runner.profile_onnxruntime import OrtProfiler
from tinyml.runtimes.runner.timing import Caller, sample, warm_up

PROFILERS: dict[str, Any] = {"litert": LiteRtProfiler, "onnxruntime": OrtProfiler}
Entry = tuple[str, str, int]  # Name, operator, nanoseconds.
WARM_UP = 10
FASTEST = 4  # One in so many calls.
# Calls with the profiler: at most; each leaves an event for every operator.
MOST_CALLS = 200


def profile(call: Caller, loaded: Loaded) -> dict[str, Any]:
    """Median calls of ``call``, then as many with a profiler: the part of the line about it."""
    options = loaded.options
    if options.runtime not in PROFILERS:
        raise RunnerError("{} has no profiler here".format(options.runtime))
    warm_up(call, options.warmup)
    found = sample(call, options, lambda: None)
    plain = found["samples_ns"]
    profiler = PROFILERS[options.runtime](
        loaded.module, options.model, options.threads, loaded.rounds, options.delegate
    )
    count = min(MOST_CALLS, len(plain))
    for _ in range(WARM_UP):
        profiler.run(call.feeds)
    walls = [_timed(profiler, call.feeds) for _ in range(count)]
    return {
        "calls": count,
        "unprofiled_ns": statistics.median(plain),
        "unprofiled_cpu_ns": statistics.median(found["cpu_ns"]),
        "profiled_ns": statistics.median(walls),
        "entries": _means(profiler.last(count), walls),
    }


def _means(calls: list[list[Entry]], walls: list[int]) -> list[dict[str, Any]]:
    """Each operator's mean time in the fastest quarter of the calls, in the order run.

    A mean, since times are whole microseconds; of the fastest, since one call that others
    disturbed would count for many.
    """
    most = sorted(walls)[(len(walls) - 1) // FASTEST]
    kept = [own for own, wall in zip(calls, walls) if wall <= most]  # noqa: B905 (3.9)
    first = kept[0] if kept else []
    if not first or any(len(own) != len(first) for own in kept) or len(calls) != len(walls):
        raise RunnerError("the profiler lists other operators in each call, or none")
    return [
        {"name": name, "op": op, "ns": sum(own[place][2] for own in kept) / len(kept)}
        for place, (name, op, _) in enumerate(first)
    ]


def _timed(profiler: Any, feeds: dict[str, Any]) -> int:
    start = time.perf_counter_ns()
    profiler.run(feeds)
    wall = time.perf_counter_ns() - start
    profiler.note()
    return wall
