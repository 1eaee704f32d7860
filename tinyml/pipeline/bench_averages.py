"""`tinyml bench` on a phone: LiteRT's ``benchmark_model`` runs the model and prints averages."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tinyml.core.averages import AverageTiming
from tinyml.core.errors import DeviceError, TinymlError
from tinyml.device.benchmark_model import check_file
from tinyml.device.how_it_runs import how_it_runs
from tinyml.device.link import Link
from tinyml.device.measure import Progress
from tinyml.device.measure_averages import measure_averages
from tinyml.pipeline.bench_jobs import JobList
from tinyml.pipeline.timing import Timing

RUNTIME = "litert"
HOW_TO_GET = (
    "take the android_aarch64_benchmark_model of TensorFlow's nightly builds, or build "
    "litert/tools:benchmark_model of LiteRT with bazel --config=android_arm64"
)


def program_for(timing: Timing, *, cpu_time: bool, verdict: bool = False) -> Path | None:
    """The program that runs models on the device of ``timing``; ``None``: Python does.

    ``cpu_time``: CPU times are asked for; ``verdict``: a comparison with a baseline is. Raises
    `DeviceError` for these, and where the program is needed and not given; `InputError` for a file
    that is not a program.
    """
    device, program = timing.device, timing.benchmark_model
    if how_it_runs(device) == "runner":
        return None
    if program is None:
        raise DeviceError(
            f"{device.name} has no Python: LiteRT's benchmark_model times models on Android, "
            "and --benchmark-model PATH was not given",
            hint=HOW_TO_GET,
        )
    check_file(program)
    if cpu_time:
        raise DeviceError("CPU times are not supported on Android: benchmark_model prints none")
    if verdict:
        raise DeviceError(
            "no verdict on Android: benchmark_model prints averages, and a comparison needs samples"
        )
    if timing.profile:
        raise DeviceError("the time of operators is not supported on Android yet: omit --profile")
    if timing.power is not None:
        raise DeviceError("energy is not supported on Android yet: omit --power")
    if timing.between == "evict":
        raise DeviceError("benchmark_model only sleeps between calls: evict is not supported there")
    return program


def for_phone(found: JobList) -> JobList:
    """The jobs that ``benchmark_model`` can run: those of LiteRT; a line for each other file."""
    others = {job.path.name: job.runtime for job in found.jobs if job.runtime != RUNTIME}
    lines = [
        f"{name}: {runtime} is not supported on Android yet" for name, runtime in others.items()
    ]
    jobs = tuple(job for job in found.jobs if job.runtime == RUNTIME)
    failed: tuple[TinymlError, ...] = found.failed
    if not jobs and not failed:
        failed = (
            DeviceError(
                "there is no .tflite file to time, and no other format is supported on Android yet",
                hint="tinyml export ... --formats tflite",
            ),
        )
    return JobList(jobs, (*found.skipped, *lines), failed)


def take_averages(
    link: Link, found: JobList, timing: Timing, program: Path, progress: Progress
) -> tuple[tuple[AverageTiming, ...], JobList]:
    """(what ``program`` measured of each .tflite file, what was left out or failed)."""
    wanted = for_phone(found)
    if not wanted.jobs:
        return (), wanted
    results = measure_averages(
        link,
        timing.jobs(wanted.jobs),
        program,
        timing.repeats,
        plan=timing.plan,
        progress=progress,
    )
    failures = tuple(own.failure for own in results if own.failure is not None)
    timings = tuple(own.timing for own in results if own.timing is not None)
    return timings, replace(wanted, failed=(*wanted.failed, *failures))
