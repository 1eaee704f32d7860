"""Where the time of a call goes: each timed file once more, by its runtime's profiler.

Where there is none, or not in this version, parts of the file are timed instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tinyml.core.errors import DeviceError, TinymlError
from tinyml.core.measurement import WHOLE, Measurement
from tinyml.core.profile import Profile
from tinyml.core.timing_plan import TimingPlan
from tinyml.device.link import Link
from tinyml.device.measure import Job, JobResult, Progress
from tinyml.device.profile import has_profiler, profile_once
from tinyml.pipeline.module_names import modules_of
from tinyml.pipeline.profile_by_difference import by_difference
from tinyml.runtimes.file_read import operators_of
from tinyml.runtimes.ort import ONNXRUNTIME
from tinyml.runtimes.profile_layers import by_name, by_order

Timed = tuple[Job, Measurement]


def timed_wholes(jobs: Sequence[Job], results: Sequence[JobResult]) -> list[Timed]:
    """Whole files that were timed one call after the other, each with its measurement."""
    pairs = zip(jobs, results, strict=True)
    return [
        (job, result.measurement)
        for job, result in pairs
        if job.part == WHOLE and job.plan is None and result.measurement is not None
    ]


def profiles(
    link: Link, timed: Sequence[Timed], work: Path, plan: TimingPlan, progress: Progress
) -> tuple[tuple[Profile, ...], list[TinymlError]]:
    """A profile of each file, and an error for each that has none: its times stay good."""
    found: list[Profile] = []
    failed: list[TinymlError] = []
    for place, (job, measured) in enumerate(timed):
        progress(f"profile of {job.title}", place, len(timed))
        folder = work / f"profile-{place}"
        folder.mkdir()
        try:
            found.append(_profile(link, job, measured, folder, plan, progress))
        except TinymlError as error:
            failed.append(DeviceError(f"not profiled: {error.message}", hint=error.hint or ""))
    return tuple(found), failed


def _profile(
    link: Link,
    job: Job,
    measured: Measurement,
    folder: Path,
    plan: TimingPlan,
    progress: Progress,
) -> Profile:
    """onnxruntime gets a copy of the file in which every node has a name, which it tells."""
    by_names = job.runtime == ONNXRUNTIME.name
    named = folder / job.path.name if by_names else None
    operators, modules = operators_of(job.path, named), modules_of(job.path)
    if not has_profiler(job.runtime, measured.version):
        return by_difference(link, job, operators, modules, folder, plan, progress)
    line = profile_once(link, job if named is None else replace(job, path=named), plan)
    layers = (by_name if by_names else by_order)(line.profile.entries, operators, modules)
    return Profile(
        model=measured.model,
        model_sha256=measured.model_sha256,
        runtime=measured.runtime,
        version=line.version,
        threads=line.threads,
        label=measured.label,
        method="profiler",
        calls=line.profile.calls,
        unprofiled_ns=line.profile.unprofiled_ns,
        profiled_ns=line.profile.profiled_ns,
        layers=layers,
        device=measured.conditions.device,
        unprofiled_cpu_ns=line.profile.unprofiled_cpu_ns,
    )
