"""Measurements of two sides: found next to them, or taken in turns; each pair with its verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tinyml.core.events import Report
from tinyml.core.measurement import WHOLE, Measurement
from tinyml.core.scratch import scratch
from tinyml.core.time_ratio import TimeRatio, time_ratio
from tinyml.device.measure import Job, JobResult, measure
from tinyml.pipeline.bench import BenchFile, all_beside, progress, read_benchmark
from tinyml.pipeline.bench_jobs import jobs_of
from tinyml.pipeline.compare_files import FileComparison
from tinyml.pipeline.devices.links import open_link
from tinyml.pipeline.timing import Timing

Found = Mapping[str, Sequence[Measurement]]  # sha256 of a model file -> what was measured of it


@dataclass(frozen=True, slots=True)
class LatencyPair:
    """The whole of two files in their runtimes; ``None`` where one was not measured."""

    a: Measurement | None
    b: Measurement | None
    result: TimeRatio

    def to_json(self) -> dict[str, Any]:
        return {
            "a": _shown(self.a),
            "b": _shown(self.b),
            **asdict(self.result),
        }


def setup_text(m: Measurement) -> str:
    """What sets a measurement apart from the usual one of its runtime, for behind its name."""
    threads = m.conditions.threads or 1
    device = "" if m.label == "host" else f", {m.conditions.device}"
    count = f", {threads} threads" if threads > 1 else ""
    return f"{count}{', as deployed' if m.pace else ''}{device}"


def _shown(m: Measurement | None) -> dict[str, Any] | None:
    """What identifies a measurement, and its median; the samples are in its own file."""
    if m is None:
        return None
    told = {"model": m.model, "runtime": m.runtime, "version": m.version, "p50_ns": m.p50_ns}
    counts = {"processes": len(m.processes), "discarded": len(m.discarded)}
    return {**told, **counts, "clock": m.clock, "conditions": asdict(m.conditions)}


def stored(what: Path) -> list[BenchFile]:
    """What `tinyml bench` left next to a bundle or a file, or next to the bundle of a file.

    Raises `InputError` when such a file cannot be read.
    """
    around = () if what.is_dir() else all_beside(what.absolute().parent)
    return [read_benchmark(place) for place in (*all_beside(what), *around)]


def stored_wholes(found: Sequence[BenchFile]) -> dict[str, list[Measurement]]:
    """The measurements of whole files in ``found``."""
    return by_file([m for own in found for m in own.measurements if m.part == WHOLE])


def only_averages(found: Sequence[BenchFile]) -> bool:
    """Whether ``found`` holds nothing but averages of phones, which give no verdict."""
    return any(own.averages for own in found) and not any(own.measurements for own in found)


def take(
    a: Path,
    b: Path,
    files: Sequence[FileComparison],
    timing: Timing,
    report: Report,
    is_undecided: Callable[[Found, Found], bool],
) -> tuple[Found, Found, tuple[str, ...]]:
    """Measure the paired files of both in one run, every process in its turn.

    (measurements of A, of B, a line for each runtime that is not installed or fails.) Both get the
    same inputs where they take the same. Turns are added while what was measured ``is_undecided``.
    Raises as `tinyml.pipeline.bench.bench`.
    """
    with scratch("compare") as work, open_link(timing.device) as link:
        found_a, found_b = (jobs_of(side, work, timing.device.target) for side in (a, b))
        of_a = _whole(found_a.jobs, {pair.a.path.absolute() for pair in files})
        of_b = _whole(found_b.jobs, {pair.b.path.absolute() for pair in files})
        if a.is_dir():
            of_b = [_with_inputs(job, of_a) for job in of_b]
        else:
            of_a = [_with_inputs(job, of_b) for job in of_a]
        of_a, of_b = timing.jobs(of_a), timing.jobs(of_b)
        results = measure(
            link,
            [*of_a, *of_b],
            timing.repeats,
            plan=timing.plan,
            progress=progress(report),
            undecided=lambda results: is_undecided(*_sides(results, len(of_a))),
        )
    measured = _sides(results, len(of_a))
    errors = [*found_a.failed, *found_b.failed, *(own.failure for own in results if own.failure)]
    if errors and not any(measured):
        raise errors[0]
    lines = [*found_a.skipped, *found_b.skipped, *(error.message for error in errors)]
    return *measured, tuple(dict.fromkeys(lines))


def _sides(results: Sequence[JobResult], count: int) -> tuple[Found, Found]:
    """What was measured of A, the first ``count`` jobs, and of B."""
    of_a, of_b = (
        by_file([own.measurement for own in side if own.measurement])
        for side in (results[:count], results[count:])
    )
    return of_a, of_b


def _whole(jobs: Sequence[Job], paths: set[Path]) -> list[Job]:
    return [job for job in jobs if job.part == WHOLE and job.path.absolute() in paths]


def _with_inputs(job: Job, others: Sequence[Job]) -> Job:
    """``job`` on the inputs of the first other one that takes the same: names, shapes, types."""
    for other in others:
        if _kinds(job) == _kinds(other):
            return replace(job, inputs=other.inputs)
    return job


def _kinds(job: Job) -> dict[str, tuple[tuple[int, ...], str]]:
    return {name: (array.shape, str(array.dtype)) for name, array in job.inputs.items()}


def by_file(measurements: Sequence[Measurement]) -> dict[str, list[Measurement]]:
    """Measurements by the content of their model file."""
    found: dict[str, list[Measurement]] = {}
    for m in measurements:
        found.setdefault(m.model_sha256, []).append(m)
    return found


def on_cpu_clock(found: Found) -> Found:
    """``found`` with CPU times; `DeviceError` where they were not recorded."""
    return {digest: [m.on_cpu_clock() for m in own] for digest, own in found.items()}


def compare_latency(files: Sequence[FileComparison], a: Found, b: Found) -> tuple[LatencyPair, ...]:
    """A row for each pair of files in each runtime that ran both; else the reason."""
    return tuple(row for pair in files for row in _rows(pair, a, b))


def _rows(pair: FileComparison, a: Found, b: Found) -> list[LatencyPair]:
    of_a, of_b = a.get(pair.a.sha256, ()), b.get(pair.b.sha256, ())
    every = [(m, n) for m in of_a for n in of_b]
    if pair.a.format == pair.b.format:
        every = [(m, n) for m, n in every if m.runtime == n.runtime]
    alike = [(m, n) for m, n in every if m.setup == n.setup]
    there = [(m, n) for m, n in every if m.conditions.device == n.conditions.device]
    couples = alike or there[:1] or every[:1]
    if couples:
        return [LatencyPair(m, n, time_ratio(m, n)) for m, n in couples]
    sides = (("A", pair.a, of_a, a), ("B", pair.b, of_b, b))
    lacks = [
        _lack(f"{letter}'s {file.path.name}", found)
        for letter, file, mine, found in sides
        if not mine
    ]
    why = "; ".join(lacks) or "they were measured in different runtimes"
    result = TimeRatio(None, None, None, "no verdict", why)
    return [LatencyPair(next(iter(of_a), None), next(iter(of_b), None), result)]


def _lack(name: str, found: Found) -> str:
    if found:
        return f"{name} as it is now is not among what was measured"
    return f"{name} was not measured"
