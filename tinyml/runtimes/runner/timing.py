"""The timed calls of one process: the first call, the warm-up, the samples."""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any, Callable

import numpy as np

from tinyml.runtimes.runner.engines import Arrays
from tinyml.runtimes.runner.errors import RunnerError
from tinyml.runtimes.runner.machine import Readings, evicting_bytes, peak_rss_kb, state

# A warm-up is a row of blocks; it ends when the medians of two that follow agree this well.
BLOCK_CALLS = 5
BLOCK_NS = 50_000_000
AGREEMENT = 0.03
LONGEST_WARM_UP_NS = 2_000_000_000
# More samples of a process than this are thinned evenly: every second one, then every fourth ...
MOST_SAMPLES = 10_000
LINE = 64  # Bytes of a cache line.


class Caller:
    """Calls of one model, each with its wall time and CPU time; states are carried on.

    The CPU time is that of the calling thread where the runtime has one, else of the process.
    """

    def __init__(self, model: Any, feeds: Arrays, states: dict[str, str], threads: int) -> None:
        self.model, self.feeds, self.states = model, dict(feeds), states
        self.cpu_clock: Callable[[], int] = time.thread_time_ns
        if threads > 1:
            self.cpu_clock = time.process_time_ns

    def __call__(self) -> tuple[int, int, Arrays]:
        """(wall time, CPU time, outputs) of the next call; times in nanoseconds."""
        cpu_start = self.cpu_clock()
        start = time.perf_counter_ns()
        outputs = self.model.run(self.feeds)
        wall = time.perf_counter_ns() - start
        cpu = self.cpu_clock() - cpu_start
        for into, out in self.states.items():
            if out not in outputs:
                raise RunnerError(
                    "--state {}={}: outputs are {}".format(into, out, sorted(outputs))
                )
            self.feeds[into] = outputs[out]
        return wall, cpu, outputs


def measure(call: Caller, options: argparse.Namespace) -> tuple[dict[str, Any], Arrays]:
    """First call, warm-up and samples, as in the line; and the outputs of the first call."""
    first_ns, _, first = call()
    warmups, is_stable = warm_up(call, options.warmup)
    found = {"first_ns": first_ns, "warmups": warmups, "is_stable": is_stable}
    found["peak_rss_kb"] = peak_rss_kb()  # Not the samples', nor that of other memory.
    pause = Pause(options.period, options.between)
    before = state()
    samples = sample(call, options, pause)
    return {**found, **samples, "before": before, "after": state()}, first


def warm_up(call: Caller, fixed: int | None) -> tuple[int, bool | None]:
    """Call until stable, or ``fixed`` times; the number of calls, and whether it became stable."""
    if fixed is not None:
        for _ in range(fixed):
            call()
        return fixed, None
    calls, last = 0, 0.0
    ends = time.perf_counter_ns() + LONGEST_WARM_UP_NS
    while time.perf_counter_ns() < ends:
        block = _block(call, ends)
        calls += len(block)
        median = statistics.median(block)
        if len(block) >= BLOCK_CALLS and abs(median - last) <= AGREEMENT * median:
            return calls, True
        last = median
    return calls, False


def _block(call: Caller, ends: int) -> list[int]:
    """Wall times of calls until there are enough of them, or time is up."""
    block: list[int] = []
    while len(block) < BLOCK_CALLS or sum(block) < BLOCK_NS:
        block.append(call()[0])
        if time.perf_counter_ns() >= ends:
            break
    return block


class Pause:
    """What comes before each timed call: nothing, or the rest of a period since the last one.

    Meanwhile the process sleeps, or works on memory beyond the last-level cache (``evict``): at
    least once through all of it.
    """

    def __init__(self, period: float | None, between: str | None) -> None:
        self.period_ns = int((period or 0) * 1e9)
        self.memory = np.zeros(evicting_bytes() if between == "evict" else 0, np.uint8)
        self.last = time.perf_counter_ns()

    def __call__(self) -> None:
        if not self.period_ns:
            return
        due = self.last + self.period_ns
        while self.memory.size:
            self.memory[::LINE] += 1
            if time.perf_counter_ns() >= due:
                break
        time.sleep(max(0, due - time.perf_counter_ns()) / 1e9)
        self.last = time.perf_counter_ns()


def sample(call: Caller, options: argparse.Namespace, pause: Callable[[], None]) -> dict[str, Any]:
    """Calls until there are ``--runs`` *and* ``--min-time`` is over, or ``--max-time`` is.

    Of more than `MOST_SAMPLES` an even part is kept; ``calls`` counts all of them.
    """
    walls: list[int] = []
    cpus: list[int] = []
    calls, every = 0, 1
    readings = Readings()
    start = time.perf_counter_ns()
    enough, most = start + int(options.min_time * 1e9), start + int(options.max_time * 1e9)
    now = start
    while calls == 0 or (now < most and (calls < options.runs or now < enough)):
        readings.look(now)
        pause()
        wall, cpu, _ = call()
        if calls % every == 0:
            walls.append(wall)
            cpus.append(cpu)
        calls += 1
        if len(walls) > MOST_SAMPLES:
            walls, cpus, every = walls[::2], cpus[::2], 2 * every
        now = time.perf_counter_ns()
    found = {"samples_ns": walls, "cpu_ns": cpus, "calls": calls, "elapsed_ns": now - start}
    return {**found, "meanwhile": readings.found()}
