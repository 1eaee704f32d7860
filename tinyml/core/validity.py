"""Which processes of a measurement count: others on the machine, or its clock, may spoil one.

Pure functions of what the runner recorded. What is unknown spoils nothing.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from tinyml.core.machine_state import MachineState, Throttle, throttle_now
from tinyml.core.measurement import Conditions, Discarded, Measurement, Process
from tinyml.core.timing_plan import FULL, TimingPlan

# The part of the time that other processes may have the core, by the run queue and by steal; by
# how much wall time may exceed CPU time; and the part in which any process may wait (PSI): that
# counts the whole machine, also cores that the process does not use.
MOST_OTHERS = 0.10
MOST_WAITING = 0.10
MOST_PRESSURE = 0.25
# Of reading the clocks, for calls of a few microseconds.
CLOCKS_NS = 2_000
MOST_FREQUENCY_CHANGE = 0.10
MOST_WARMING_MC = 10_000
# A clock that is kept right over the network is moved by less than a thousandth of the time.
MOST_JUMP_NS = 100_000_000


def split(
    processes: Sequence[Process],
    conditions: Conditions,
    plan: TimingPlan = FULL,
    *,
    emulated: bool = False,
) -> tuple[tuple[Process, ...], tuple[Discarded, ...]]:
    """(those that count, those that do not, each with its reason).

    Between calls of a period the CPU slows down, as on a device: there its frequency may change.
    ``emulated``: /proc there shows the host, so only what the board's firmware reports is judged.
    """
    valid, discarded = [], []
    for process in processes:
        if emulated:
            why = _firmware(process)
        else:
            why = _changed(process, processes, paced=plan.period_s is not None)
        if why:
            discarded.append(Discarded(process, "changed", why))
        elif not emulated and (why := _busy(process, conditions)):
            discarded.append(Discarded(process, "busy", why))
        else:
            valid.append(process)
    return tuple(valid), tuple(discarded)


def why_too_few(m: Measurement) -> str:
    """Why so few processes of ``m`` count, in one line; empty where none was discarded."""
    if not m.discarded:
        return ""
    is_busy = any(own.kind == "busy" for own in m.discarded)
    start = "machine too busy" if is_busy else "the machine changed"
    return f"{start}: {_reason(m)} ({_counted(m)})"


def what_was_discarded(m: Measurement) -> str:
    """`why_too_few` where no process of ``m`` counts, else how many do not; or nothing."""
    if not m.discarded or not m.processes:
        return why_too_few(m)
    return f"{_counted(m)}: {_reason(m)}"


def _counted(m: Measurement) -> str:
    return f"{len(m.discarded)} of {len(m.all_processes)} processes discarded"


def _reason(m: Measurement) -> str:
    """That of the middle one of those that were disturbed, else of those of a changed machine."""
    busy = [own for own in m.discarded if own.kind == "busy"]
    found = sorted(busy or m.discarded, key=lambda own: _others(own.process) or 0.0)
    return found[len(found) // 2].reason


def _busy(process: Process, conditions: Conditions) -> str:
    """How others took part of its time; empty: they hardly did."""
    threads = conditions.threads or 1
    if threads > (conditions.cores or threads):
        return ""  # Its own threads wait for each other.
    others = _others(process)
    if others is not None and others > MOST_OTHERS:
        used = "its threads waited for a core" if threads > 1 else "other processes used"
        return f"{used} {min(others, 1.0):.0%} of {'the time' if threads > 1 else 'this core'}"
    if threads == 1 and process.cpu_ns:
        wall, cpu = sum(process.samples_ns), sum(process.cpu_ns)
        if wall > (1 + MOST_WAITING) * (cpu + CLOCKS_NS * len(process.cpu_ns)):
            return f"wall time is {wall / cpu:.2f} times CPU time"
    pressure = _share(process, "pressure_ns")
    if pressure is not None and pressure > MOST_PRESSURE:
        return f"processes waited for a core in {min(pressure, 1.0):.0%} of the time"
    return ""


def _others(process: Process) -> float | None:
    """The part of the time that other processes or machines had the core that this one needed."""
    shares = [_share(process, name) for name in ("run_queue_ns", "steal_ns")]
    known = [share for share in shares if share is not None]
    return sum(known) if known else None


def _share(process: Process, counter: str) -> float | None:
    """By how much a counter of `MachineState` grew, of the time of the calls."""
    before, after = getattr(process.before, counter), getattr(process.after, counter)
    if before is None or after is None or not process.elapsed_ns:
        return None
    return float((after - before) / process.elapsed_ns)


def _changed(process: Process, all_of_them: Sequence[Process], *, paced: bool) -> str:
    """What of the machine changed during the process, or since the others; empty: nothing."""
    before, after = process.before, process.after
    usual = all_of_them[0].before.governor
    for governor in (before.governor, after.governor):
        if usual is not None and governor not in (None, usual):
            return f"the governor changed from {usual} to {governor}"
    if why := _firmware(process):
        return why
    if after.is_throttled or before.is_throttled or after.throttled != before.throttled:
        return "the CPU was throttled"
    for changed in (_clock_jump(before, after), _cores_changed(before, after)):
        if changed:
            return changed
    known = [own.after.frequency_khz for own in all_of_them if own.after.frequency_khz]
    meanwhile = process.meanwhile
    for usual_khz in (before.frequency_khz, statistics.median(known) if known else None):
        for khz in () if paced else (after.frequency_khz, meanwhile.lowest_khz):
            if why := _frequency_changed(usual_khz, khz):
                return why
    hot = [mc for mc in (after.temperature_mc, meanwhile.hottest_mc) if mc is not None]
    return _warmed(before.temperature_mc, max(hot, default=None))


def throttle_in(process: Process) -> Throttle:
    """What a Raspberry Pi's firmware reports of the time of ``process``."""
    before, after = process.before, process.after
    appeared = after.throttle_since_boot & ~before.throttle_since_boot
    meanwhile = throttle_now(process.meanwhile.firmware_bits)
    return before.throttle_now | after.throttle_now | meanwhile | appeared


def _firmware(process: Process) -> str:
    bits = throttle_in(process)
    if not bits:
        return ""
    weak = ": the power supply is too weak" if Throttle.UNDER_VOLTAGE in bits else ""
    return f"the firmware reports {bits.text}{weak}"


def _clock_jump(before: MachineState, after: MachineState) -> str:
    """Whether the wall clock moved on by another time than the one that only counts."""
    offsets = [
        own.wall_ns - own.boot_ns
        for own in (before, after)
        if own.wall_ns is not None and own.boot_ns is not None
    ]
    jump = offsets[-1] - offsets[0] if len(offsets) == 2 else 0
    return "" if abs(jump) <= MOST_JUMP_NS else f"the clock jumped by {jump / 1e9:+.1f} s"


def _cores_changed(before: MachineState, after: MachineState) -> str:
    if None in (before.cores_online, after.cores_online):
        return ""
    if before.cores_online == after.cores_online:
        return ""
    return f"the cores that are on changed from {before.cores_online} to {after.cores_online}"


def _frequency_changed(before: float | None, after: float | None) -> str:
    if not before or not after or abs(after / before - 1) <= MOST_FREQUENCY_CHANGE:
        return ""
    return f"the CPU's frequency changed from {before / 1e6:.2f} to {after / 1e6:.2f} GHz"


def _warmed(before: int | None, after: int | None) -> str:
    if before is None or after is None or after - before <= MOST_WARMING_MC:
        return ""
    return f"the CPU's temperature rose from {before / 1000:.0f} to {after / 1000:.0f} °C"
