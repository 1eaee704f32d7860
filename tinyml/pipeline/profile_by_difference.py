"""Where the time of a call goes, without a profiler: the file is cut, and its starts are timed.

A start ends at an operator that needs all that comes before it. What one takes more than the
start before it is the time of what lies between, up to what a runtime would have run together
across the cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tinyml.core.errors import DeviceError
from tinyml.core.measurement import Measurement, median
from tinyml.core.profile import LayerTime, Profile
from tinyml.core.time_difference import TimeDifference
from tinyml.core.timing_plan import TimingPlan
from tinyml.device.link import Link
from tinyml.device.measure import Job, Progress, measure, measurements
from tinyml.modelfile.operator_list import ListedOperator
from tinyml.runtimes.file_read import cut_of
from tinyml.runtimes.profile_layers import Modules, all_modules

# Parts of a file, the last of which is the whole; each is timed in so many processes.
MOST_PARTS = 12
REPEATS = 3
SECONDS = 0.2
START = "start"


def by_difference(
    link: Link,
    job: Job,
    operators: Sequence[ListedOperator],
    modules: Modules,
    folder: Path,
    plan: TimingPlan,
    progress: Progress,
) -> Profile:
    """The profile of ``job``, whose file has ``operators``; the cut files go to ``folder``.

    Raises `InputError` for a file that cannot be cut, `DeviceError` for a part that fails and where
    no process of one counts.
    """
    known = all_modules(operators, modules)
    ends = _ends(operators, known)
    starts = [_start(job, operators[end], folder / f"{end}-{job.path.name}") for end in ends]
    short = replace(plan, min_time_s=min(SECONDS, plan.min_time_s))
    jobs = [*starts, job]
    results = measure(link, jobs, REPEATS, plan=short, progress=progress)
    found = _counting(measurements(results))
    whole = found[-1]
    return Profile(
        model=whole.model,
        model_sha256=whole.model_sha256,
        runtime=whole.runtime,
        version=whole.version,
        threads=job.threads,
        label=whole.label,
        method="by difference",
        calls=min(len(own.samples_ns) for own in found),
        unprofiled_ns=whole.p50_ns or 0.0,
        profiled_ns=None,
        layers=_layers(found, operators, [*ends, len(operators) - 1], known),
        clock=whole.clock,
        device=whole.conditions.device,
    )


def _counting(found: Sequence[Measurement]) -> Sequence[Measurement]:
    """``found``, in CPU time where other processes disturbed all processes of one."""
    if not all(own.processes for own in found):
        found = [own.on_cpu_clock() for own in found]
    if not all(own.processes for own in found):
        raise DeviceError(f"{found[-1].model}: the machine changed while its parts were timed")
    return found


def _ends(operators: Sequence[ListedOperator], known: dict[str, str]) -> list[int]:
    """Places to cut behind: the last of each submodule, evenly fewer where there are many."""
    cuts = [place for place, own in enumerate(operators[:-1]) if own.is_cut]
    last = {known[operators[place].name] or operators[place].name: place for place in cuts}
    ends = sorted(last.values())
    if len(ends) < MOST_PARTS:
        return ends
    step = len(ends) / (MOST_PARTS - 1)
    return [ends[int(step * part)] for part in range(MOST_PARTS - 1)]


def _start(job: Job, end: ListedOperator, out: Path) -> Job:
    """What of the file comes before ``end``, and that."""
    taken = cut_of(job.path, end.outputs[0], out)
    inputs = {name: job.inputs[name] for name in taken}
    return replace(job, path=out, inputs=inputs, part=START, states=None)


def _layers(
    found: Sequence[Measurement],
    operators: Sequence[ListedOperator],
    ends: Sequence[int],
    known: dict[str, str],
) -> tuple[LayerTime, ...]:
    layers: list[LayerTime] = []
    begin = 0
    for place, (own, end) in enumerate(zip(found, ends, strict=True)):
        turns = _per_turn(own, found[place - 1] if place else None)
        computed = [own for own in operators[begin : end + 1] if not own.is_fixed]
        layers.append(_layer(turns, computed or operators[begin : end + 1], known))
        begin = end + 1
    return tuple(layers)


def _per_turn(own: Measurement, before: Measurement | None) -> tuple[float, ...]:
    if before is not None:
        return TimeDifference(own, before).per_turn_ns
    return tuple(median(process.samples_ns) or 0.0 for process in own.processes)


def _layer(
    turns: Sequence[float], operators: Sequence[ListedOperator], known: dict[str, str]
) -> LayerTime:
    names = list(dict.fromkeys(known[own.name] for own in operators if known[own.name]))
    macs = [own.macs for own in operators]
    return LayerTime(
        name=operators[-1].name,
        op=f"{len(operators)} operators",
        module=names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}" if names else "",
        ns=median(turns) or 0.0,
        macs=None if None in macs else sum(own or 0 for own in macs),
        error_ns=(max(turns) - min(turns)) / 2 if turns else None,
    )
