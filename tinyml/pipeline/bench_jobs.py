"""What there is to time in a bundle or a model file."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from tinyml.core.bundle import Bundle
from tinyml.core.errors import InputError, TinymlError
from tinyml.core.measurement import WHOLE
from tinyml.core.quant_params import quantize_arrays
from tinyml.core.spec import Arrays
from tinyml.core.target import find_target
from tinyml.device.measure import Job
from tinyml.export import parity
from tinyml.pipeline.checked_bundle import read_checked
from tinyml.pipeline.outputs.engines import Engine, installed, joining, runtimes_of
from tinyml.runtimes.file_read import cut_of

FRONT_END = "front end"


@dataclass(frozen=True, slots=True)
class JobList:
    """What there is to time; a line for each runtime that lacks, an error for each that fails."""

    jobs: tuple[Job, ...]
    skipped: tuple[str, ...] = ()
    failed: tuple[TinymlError, ...] = ()


def jobs_of(what: Path, work: Path, target: str) -> JobList:
    """What there is to time in a bundle or a file; parts of files are cut into ``work``.

    Optional engines join where ``target`` has them; a file that one refuses is skipped. Raises as
    `tinyml.pipeline.bench.bench`, also where all of it fails.
    """
    names = joining(find_target(target))
    return (_of_file if what.is_file() else _of_bundle)(what, work, names)


def _of_bundle(folder: Path, work: Path, optional: Collection[str]) -> JobList:
    bundle, expected = read_checked(folder)
    ready, lacking = installed(folder, bundle.models, optional)
    inputs = next(iter(expected.inputs.values()))
    jobs: list[Job] = []
    skipped: list[str] = [*lacking]
    failed: list[TinymlError] = []
    for engine in ready:  # a file that its runtime refuses is found before anything is timed
        try:
            engine.open().run(inputs)
            mine = jobs_of_engine(bundle, engine, inputs, work)
            for part in mine[1:]:
                engine.runtime.open(part.path)
        except InputError as error:
            if engine.optional:
                skipped.append(error.message.replace(f"{engine.path.parent}/", ""))
            else:
                failed.append(error)
        else:
            jobs += mine
    if not jobs:
        raise failed[0]
    return JobList(tuple(jobs), tuple(skipped), tuple(failed))


def _of_file(file: Path, _work: Path, optional: Collection[str]) -> JobList:
    """A file says its inputs' names, shapes and types; of recurrent state it says nothing."""
    reference_runtime, *others = runtimes_of(file, optional)
    session = reference_runtime.open(file)
    inputs = parity.cases(session.signature, seed=0)["random"]
    session.run(inputs)
    jobs, refused = [Job(file, reference_runtime.name, inputs)], []
    for runtime in others:
        try:
            runtime.open(file).run(inputs)
        except InputError as error:
            refused.append(error.message)
        else:
            jobs.append(Job(file, runtime.name, inputs))
    return JobList(tuple(jobs), tuple(refused))


def jobs_of_engine(bundle: Bundle, engine: Engine, inputs: Arrays, work: Path) -> list[Job]:
    """The whole of a file, and its front end where the bundle has one, cut into ``work``."""
    inputs = quantize_arrays(inputs, engine.model.quant_params)
    states = {pair.input: pair.output for pair in bundle.signature.states} or None
    whole = Job(engine.path, engine.name, inputs, WHOLE, states)
    tensor = engine.model.stages.get(bundle.front_end or "")
    if tensor is None:
        return [whole]
    part = work / f"front-end-{engine.path.name}"
    taken = cut_of(engine.path, tensor, part)
    return [whole, Job(part, engine.name, {name: inputs[name] for name in taken}, FRONT_END)]
