"""A benchmark as tables for a person to read: times in milliseconds, memory in megabytes."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from tinyml.core.machine_state import MachineState
from tinyml.core.measurement import Measurement
from tinyml.core.time_difference import TimeDifference
from tinyml.core.validity import what_was_discarded
from tinyml.pages.tables import Section, ms
from tinyml.pipeline.averages_text import average_sections
from tinyml.pipeline.bench import NETWORK, Benchmark
from tinyml.pipeline.profile_text import profile_section

CLOCKS = {"wall": "time of a call, ms", "cpu": "CPU time of a call, ms"}
Rows = list[tuple[object, ...]]


def sections(found: Benchmark) -> list[Section]:
    """Times, then start, memory and processes, then what to know of them."""
    if found.averages:
        return average_sections(found.averages, found.skipped)
    shown = sorted(found.shown, key=lambda m: m.runtime)
    several = len({m.conditions.threads for m in shown}) > 1
    rows: Rows = [_times(m, several) for m in shown]
    rows += [_difference(d, several) for d in found.networks]
    head = ("min", "p50", "p90", "p99", "CV", "calls/s")
    threads = ("threads",) if several else ()
    starts: Rows = [_start(m, several) for m in shown]
    start_head = ("load ms", "first ms", "peak MB", "valid", "calls")
    return [
        Section(
            CLOCKS[shown[0].clock],
            ("runtime", "part", *threads, *head),
            sorted(rows, key=lambda row: str(row[0])),
            _lines(found),
        ),
        Section("start and memory", ("runtime", "part", *threads, *start_head), starts),
        Section("machine", lines=(_machine(shown),)),
        *(profile_section(own) for own in found.profiles),
    ]


def _times(m: Measurement, several: bool) -> tuple[object, ...]:
    times = map(ms, (m.min_ns, m.p50_ns, m.p90_ns, m.p99_ns))
    variation = "-" if m.variation is None else f"{m.variation:.0%}"
    rate = "-" if m.calls_per_s is None else f"{m.calls_per_s:,.0f}"
    return (*_name(m, m.part_title, several), *times, variation, rate)


def _difference(d: TimeDifference, several: bool) -> tuple[object, ...]:
    return (*_name(d.whole, NETWORK, several), "", ms(d.p50_ns), "", "", "", "")


def _start(m: Measurement, several: bool) -> tuple[object, ...]:
    memory = f"{m.peak_rss_kb / 1024:.0f}" if m.peak_rss_kb else "-"
    counts = (f"{len(m.processes)} of {len(m.all_processes)}", f"{len(m.samples_ns):,}")
    return (*_name(m, m.part_title, several), ms(m.load_ns), ms(m.first_ns), memory, *counts)


def _name(m: Measurement, part: str, several: bool) -> tuple[object, ...]:
    return (m.runtime, part, *((m.conditions.threads,) if several else ()))


def _lines(found: Benchmark) -> tuple[str, ...]:
    shown = found.shown
    lines = [f"{_title(m)}: {what_was_discarded(m)}" for m in shown if m.discarded]
    if not all(m.processes for m in shown) and shown[0].clock == "wall":
        lines.append("--cpu-time shows CPU times, which other processes disturb less")
    lines += [f"not timed: {line}" for line in found.skipped]
    lines += [f"{_title(m)}: computed in {m.precision}" for m in shown if m.precision]
    lines += [_unsettled(m) for m in shown if any(p.is_stable is False for p in m.processes)]
    lines += [
        f"{d.whole.runtime}: the network is a difference of medians, "
        f"{ms(d.range_ns[0])} to {ms(d.range_ns[1])} ms turn by turn"
        for d in found.networks
        if d.range_ns is not None
    ]
    lines += [line for m in shown if (line := _energy(m))]
    lines += [f"as deployed: {pace}" for pace in dict.fromkeys(m.pace for m in shown) if pace]
    if any(m.plan is not None and m.plan.is_quick for m in shown):
        lines.append("quick: a first look, too short to rely on")
    return tuple(lines)


def _title(m: Measurement) -> str:
    return f"{m.runtime}, {m.part_title}"


def _energy(m: Measurement) -> str:
    """Of a call, over the processes that count; empty where it was not measured."""
    found = [own.power for own in m.processes if own.power is not None]
    if not found:
        return ""
    whole = statistics.median(own.call_j for own in found)
    above = statistics.median(own.above_idle_j for own in found)
    idle = statistics.fmean(watts for own in found for watts in own.idle_w)
    busy = statistics.fmean(watts for own in found for watts in own.busy_w)
    return (
        f"{_title(m)}: {1000 * whole:.3g} mJ a call, {1000 * above:.3g} mJ of it above idle "
        f"({busy:.2f} W busy, {idle:.2f} W idle, by {found[0].source})"
    )


def _unsettled(m: Measurement) -> str:
    count = f"{sum(p.is_stable is False for p in m.processes)} of {len(m.processes)} processes"
    return f"{_title(m)}: not stable after the warm-up in {count}"


def _machine(shown: Sequence[Measurement]) -> str:
    """What the times depend on."""
    m = shown[0]
    conditions = m.conditions
    runtimes = dict.fromkeys(f"{own.runtime} {own.version}" for own in shown)
    processes = [process for own in shown for process in own.all_processes]
    states = [process.after for process in processes]
    loads = [state.load for state in states if state.load is not None]
    cores = f"{conditions.cores} cores" if conditions.cores != 1 else "1 core"
    words = [conditions.cpu or "unknown CPU", cores, *runtimes]
    if conditions.pinned_cpu is not None:
        words.append(f"pinned to core {conditions.pinned_cpu}")
    words.append(f"governor {conditions.governor or 'unknown'}")
    if loads:
        words.append(f"load average {min(loads):.1f} to {max(loads):.1f}")
    if m.label == "device":
        words += _heat([*(process.before for process in processes), *states])
    return ", ".join(words)


def _heat(states: Sequence[MachineState]) -> list[str]:
    """The temperatures of a board, and whether it was throttled, in the readings ``states``."""
    heat = [own.temperature_mc / 1000 for own in states if own.temperature_mc is not None]
    known = [own.is_throttled for own in states if own.is_throttled is not None]
    words = [
        f"temperature {min(heat):.0f} to {max(heat):.0f} °C" if heat else "temperature unknown"
    ]
    if known:
        words.append("throttled" if any(known) else "not throttled")
    else:
        words.append("throttling unknown")
    if since := states[-1].throttle_since_boot:
        words.append(f"since the board was started: {since.text}")
    return words
