"""Averages that a program measured on a phone, as tables for a person to read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tinyml.core.averages import AverageTiming, PhoneState, thermal_text
from tinyml.core.measurement import WHOLE
from tinyml.pages.tables import Section, ms

HEAD = ("mean", "of a process", "min", "max", "valid", "calls")
# What the program cannot give, and what follows.
LIMITS = (
    "these are averages that benchmark_model prints: there are no samples, so no percentiles and "
    "no verdict of tinyml compare, and no CPU times",
    "benchmark_model uses its own random inputs and prints no outputs, so none were compared",
)


def average_sections(timings: Sequence[AverageTiming], skipped: Iterable[str]) -> list[Section]:
    """Times, then the start, then the phone and what it was doing."""
    several = len({own.conditions.threads for own in timings}) > 1
    name = ("file", "part", *(("threads",) if several else ()))
    lines = [
        *(f"{_title(own)}: {_discarded(own)}" for own in timings if len(own.valid) < _count(own)),
        *(f"not timed: {line}" for line in skipped),
        *LIMITS,
        *(("quick: a first look, too short to rely on",) if timings[0].plan.is_quick else ()),
    ]
    return [
        Section(
            "mean time of a call, ms",
            (*name, *HEAD),
            [(*_name(own, several), *_times(own)) for own in timings],
            tuple(lines),
        ),
        Section(
            "start",
            (*name, "load ms", "first ms"),
            [(*_name(own, several), ms(own.load_ns), ms(own.first_ns)) for own in timings],
        ),
        Section("phone", lines=(_phone(timings), _states(timings))),
    ]


def _name(own: AverageTiming, several: bool) -> tuple[object, ...]:
    part = f"{own.part}, as deployed" if own.plan.pace else own.part
    return (own.model, part, *((own.conditions.threads,) if several else ()))


def _title(own: AverageTiming) -> str:
    return own.model if own.part == WHOLE else f"{own.model}, {own.part}"


def _times(own: AverageTiming) -> tuple[object, ...]:
    low, high = own.range_ns or (None, None)
    means = "-" if low is None else f"{ms(low)} to {ms(high)}"
    calls = f"{sum(process.calls for process in own.valid):,}"
    counts = (f"{len(own.valid)} of {_count(own)}", calls)
    return (ms(own.mean_ns), means, ms(own.min_ns), ms(own.max_ns), *counts)


def _count(own: AverageTiming) -> int:
    return len(own.processes)


def _discarded(own: AverageTiming) -> str:
    reasons = [process.discarded for process in own.processes if process.discarded]
    return f"{len(reasons)} of {_count(own)} processes discarded: {reasons[-1]}"


def _phone(timings: Sequence[AverageTiming]) -> str:
    """What the times depend on."""
    first = timings[0]
    own = first.conditions
    clusters = f"{own.cores} cores" if own.cores else "unknown number of cores"
    known = [own.board or "unknown phone", own.cpu or "unknown chip", clusters]
    known += [own.system or "unknown Android", f"benchmark_model {first.program_sha256[:12]}"]
    if own.pinned_cpu is not None:
        known.append(f"pinned to core {own.pinned_cpu}")
    return ", ".join(known)


def _states(timings: Sequence[AverageTiming]) -> str:
    processes = [process for own in timings for process in own.processes]
    states = [state for process in processes for state in (process.before, process.after)]
    thermal = [state.thermal_status for state in states]
    known = [status for status in thermal if status is not None]
    highest = thermal_text(max(known, default=None))
    some = " where known" if known and len(known) < len(thermal) else ""
    return f"thermal status at most {highest}{some}, {_battery(states)}"


def _battery(states: Sequence[PhoneState]) -> str:
    """The first and the last reading, and whether the battery saver was ever on."""
    texts = dict.fromkeys((states[0].battery_text, states[-1].battery_text))
    saver = {own.low_power for own in states}
    words = "on" if True in saver else "off" if saver == {False} else "unknown"
    return f"battery {', then '.join(texts)}; battery saver {words}"
