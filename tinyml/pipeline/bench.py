"""How long a bundle or a model file takes here: every runtime, front end and network apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from tinyml.core.averages import AverageTiming
from tinyml.core.bundle_folder import bundle_around, check_outside
from tinyml.core.device import THIS_MACHINE, Device
from tinyml.core.errors import InputError, MachineError, TinymlError, raise_first
from tinyml.core.events import Progress, Report
from tinyml.core.files import check_writable, resolved, write_json
from tinyml.core.measurement import WHOLE, Label, Measurement
from tinyml.core.profile import Profile
from tinyml.core.scratch import scratch
from tinyml.core.time_difference import TimeDifference
from tinyml.core.typed_json import from_json, load_json, to_json
from tinyml.core.upgrade import SCHEMA, upgraded
from tinyml.device.link import Link
from tinyml.device.measure import measure
from tinyml.pipeline.bench_averages import program_for, take_averages
from tinyml.pipeline.bench_jobs import FRONT_END, JobList
from tinyml.pipeline.bench_there import check_made_for, find_jobs
from tinyml.pipeline.devices.links import open_link
from tinyml.pipeline.devices.measuring import measuring
from tinyml.pipeline.profile import profiles, timed_wholes
from tinyml.pipeline.timing import Timing

NETWORK = "network (difference)"
ENDING = ".bench.json"


@dataclass(frozen=True, slots=True)
class Network:
    """The median time of what a whole file does after its front end, which is not timed itself.

    ``threads`` of the runtime; ``p50_ns`` is ``None`` where no turn counts.
    """

    runtime: str
    part: str
    p50_ns: float | None
    threads: int | None = None


@dataclass(frozen=True, slots=True)
class BenchFile:
    """What ``bench.json`` holds.

    skipped  a line for each runtime that is not installed
    failed   a line for each that failed; what it timed before is among the measurements
    taken    when it was written, by the machine's clock: ISO 8601, UTC; empty in older files
    averages  what a phone gives instead of measurements
    profiles  where the time of a call goes, of files for which it was asked
    """

    label: Label
    measurements: tuple[Measurement, ...]
    networks: tuple[Network, ...]
    skipped: tuple[str, ...]
    failed: tuple[str, ...] = ()
    taken: str = ""
    averages: tuple[AverageTiming, ...] = ()
    profiles: tuple[Profile, ...] = ()

    @property
    def all_timings(self) -> tuple[Measurement | AverageTiming, ...]:
        """Measurements, and averages."""
        return (*self.measurements, *self.averages)


@dataclass(frozen=True, slots=True)
class Benchmark:
    """Measurements of one bundle, whole and front end in turn, and where they are written.

    With ``cpu_time``, what is shown are CPU times; what is written has both. ``failed``: the
    errors of what went wrong, each of which leaves the rest usable.
    """

    measurements: tuple[Measurement, ...]
    path: Path
    skipped: tuple[str, ...]
    cpu_time: bool = False
    failed: tuple[TinymlError, ...] = ()
    taken: str = ""
    averages: tuple[AverageTiming, ...] = ()
    profiles: tuple[Profile, ...] = ()

    @property
    def label(self) -> Label:
        """What the link calls its measurements."""
        return self.measurements[0].label if self.measurements else self.averages[0].label

    @property
    def shown(self) -> tuple[Measurement, ...]:
        """The measurements on the clock that is asked for."""
        if not self.cpu_time:
            return self.measurements
        return tuple(m.on_cpu_clock() for m in self.measurements)

    @property
    def networks(self) -> tuple[TimeDifference, ...]:
        """What is left of each whole without its front end."""
        fronts = {_key(m, m.model): m for m in self.shown if m.part == FRONT_END}
        wholes = [(_key(m, f"front-end-{m.model}"), m) for m in self.shown if m.part == WHOLE]
        return tuple(TimeDifference(own, fronts[key]) for key, own in wholes if key in fronts)

    def check(self) -> None:
        """Raise the first error of ``failed``, whose details name the others."""
        raise_first(self.failed)

    @property
    def report(self) -> BenchFile:
        """Raw samples, and the differences that were formed from them."""
        networks = tuple(
            Network(d.whole.runtime, NETWORK, d.p50_ns, d.whole.conditions.threads)
            for d in self.networks
        )
        failed = tuple(error.message for error in self.failed)
        return BenchFile(
            self.label,
            self.measurements,
            networks,
            self.skipped,
            failed,
            self.taken,
            self.averages,
            self.profiles,
        )


def _key(m: Measurement, model: str) -> tuple[object, ...]:
    return model, m.runtime, m.setup


def bench(
    what: Path,
    *,
    timing: Timing,
    out: Path | None,
    report: Report,
    cpu_time: bool = False,
    strict: bool = False,
) -> Benchmark:
    """Time every installed runtime on one of a bundle's own inputs, as ``timing`` says.

    A single model file is timed in its runtime, on random inputs. On another device, outputs are
    compared before anything is timed; on a phone a ``benchmark_model`` times the .tflite files, and
    what it prints is in ``averages``. With ``strict`` the machine must be quiet. The JSON file lies
    next to the bundle or file, never in a bundle. Where it cannot be written in the end, and for a
    runtime that fails while another does not, the `Benchmark` has the error in ``failed``.

    Raises `MissingExtraError` when no runtime is installed, `ValidationError` for a changed bundle
    and for wrong outputs, `InputError` for a file that its runtime refuses, `DeviceError` for one
    that fails while it is timed and for a device that cannot be reached, is in use or not quiet,
    `UsageError` for an ``out`` in a bundle, `MachineError` for one that is not writable.
    """
    check_outside(out)
    path = out or beside(what, timing.device)
    check_writable(path)
    program = program_for(timing, cpu_time=cpu_time)
    check_made_for(what, timing.device)
    measured: tuple[Measurement, ...] = ()
    averages: tuple[AverageTiming, ...] = ()
    profiled: tuple[Profile, ...] = ()
    with (
        scratch("bench") as work,
        open_link(timing.device) as link,
        measuring(link, timing.device, report, strict=strict),
    ):
        found = find_jobs(what, work, link, timing.device, report)
        if program is None:
            measured, profiled, found = _take(link, found, work, timing, report)
        else:
            averages, found = take_averages(link, found, timing, program, progress(report))
    if not measured and not averages:
        raise found.failed[0]
    taken = datetime.now(UTC).isoformat(timespec="seconds")
    result = Benchmark(
        measured, path, found.skipped, cpu_time, found.failed, taken, averages, profiled
    )
    try:
        # A line for each of many samples would make it too large to read.
        write_json(path, {"schema": SCHEMA, **to_json(result.report)}, indent=None)
    except MachineError as error:
        return replace(result, failed=(*found.failed, error))
    return result


def _take(
    link: Link, found: JobList, work: Path, timing: Timing, report: Report
) -> tuple[tuple[Measurement, ...], tuple[Profile, ...], JobList]:
    """(measurements of the jobs ``found``, profiles, what was left out or failed)."""
    jobs = timing.jobs(found.jobs)
    profiled: tuple[Profile, ...] = ()
    unprofiled: list[TinymlError] = []
    results = measure(link, jobs, timing.repeats, plan=timing.plan, progress=progress(report))
    failures = (own.failure for own in results if own.failure is not None)
    measured = tuple(own.measurement for own in results if own.measurement is not None)
    if timing.profile:
        wholes = timed_wholes(jobs, results)
        profiled, unprofiled = profiles(link, wholes, work, timing.plan, progress(report))
    failed = (*found.failed, *failures, *unprofiled)
    return measured, profiled, replace(found, failed=failed)


def beside(what: Path, device: Device = THIS_MACHINE) -> Path:
    """Where the benchmark of a bundle or a file is written by default.

    For a bundle's file, next to the bundle: a file added to a bundle breaks its seal. For another
    device than this machine, the path has its name: ``demo-bundle.mypi.bench.json``.
    """
    path = what.absolute()
    around = bundle_around(path)
    own = "" if device.link == THIS_MACHINE.link else f".{device.name}"
    if around is None:
        return path.parent / f"{path.name}{own}{ENDING}"
    inner = ".".join(resolved(path).relative_to(around).parts)
    return around.parent / f"{around.name}.{inner}{own}{ENDING}"


def all_beside(what: Path) -> list[Path]:
    """The file that `beside` names for this machine, if it exists, then those of other devices.

    Those may also be of a bundle with a longer name: their measurements show whose they are.
    """
    here = beside(what)
    start = here.name.removesuffix(ENDING)
    names = sorted(own.name for own in here.parent.iterdir() if own.is_file())
    others = [name for name in names if name.startswith(f"{start}.") and name.endswith(ENDING)]
    return [here.with_name(name) for name in dict.fromkeys((here.name, *others)) if name in names]


def read_benchmark(path: Path) -> BenchFile:
    """What `bench` wrote to ``path``; `InputError` when it is anything else."""
    try:
        data = load_json(path)
        data = upgraded(data, what=f"{path}", unnumbered=1)
        found = from_json(BenchFile, data, what=f"{path}")
    except InputError as error:
        raise _no_benchmark(path, str(error)) from error
    every = found.measurements
    if any(ns < 1 for m in every for process in m.all_processes for ns in process.samples_ns):
        raise _no_benchmark(path, "a time is not positive")
    return found


def _no_benchmark(path: Path, why: str) -> InputError:
    return InputError(
        f"{path} is not what tinyml bench writes: {why.removeprefix(f'{path}: ')}",
        hint="remove it, or run tinyml bench again",
    )


def progress(report: Report) -> Callable[[str, int, int], None]:
    def forward(title: str, done: int, total: int) -> None:
        report(Progress("timing", done, total, title))

    return forward
