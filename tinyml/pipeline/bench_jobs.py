"""What there is to time in a bundle or a model file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tinyml.core import bundle as bundles
from tinyml.core.bundle import Bundle
from tinyml.core.errors import DeviceError, InputError, TinymlError
from tinyml.core.measurement import WHOLE
from tinyml.core.quant_params import quantize_arrays
from tinyml.core.spec import Arrays
from tinyml.device.measure import Job
from tinyml.export import parity
from tinyml.pipeline.cross_check import check_bundle
from tinyml.pipeline.outputs import reference
from tinyml.pipeline.outputs.engines import Engine, installed, runtime_of
from tinyml.runtimes.file_read import cut_of

FRONT_END = "front end"


@dataclass(frozen=True, slots=True)
class JobList:
    """What there is to time; a line for each runtime that lacks, an error for each that fails."""

    jobs: tuple[Job, ...]
    skipped: tuple[str, ...] = ()
    failed: tuple[TinymlError, ...] = ()


def jobs_of(what: Path, work: Path) -> JobList:
    """What there is to time in a bundle or a file; parts of files are cut into ``work``.

    Raises as `bench`, also where all of it fails.
    """
    return (_of_file if what.is_file() else _of_bundle)(what, work)


def _of_bundle(folder: Path, work: Path) -> JobList:
    bundle = bundles.read(folder)
    check_bundle(bundle)
    expected = reference.load(folder / bundles.REFERENCE)
    expected.check(bundle.signature, bundle.stages, bundle.facts.not_judged)
    ready, skipped = installed(folder, bundle.models)
    inputs = next(iter(expected.inputs.values()))
    jobs: list[Job] = []
    failed: list[TinymlError] = []
    for engine in ready:  # a file that its runtime refuses is found before anything is timed
        try:
            engine.open().run(inputs)
            jobs += _jobs(bundle, engine, inputs, work)
        except (InputError, DeviceError) as error:
            failed.append(error)
    if not jobs:
        raise failed[0]
    return JobList(tuple(jobs), skipped, tuple(failed))


def _of_file(file: Path, _work: Path) -> JobList:
    """A file says its inputs' names, shapes and types; of recurrent state it says nothing."""
    runtime = runtime_of(file)
    session = runtime.open(file)
    inputs = parity.cases(session.signature, seed=0)["random"]
    session.run(inputs)
    return JobList((Job(file, str(runtime.name), inputs),))


def _jobs(bundle: Bundle, engine: Engine, inputs: Arrays, work: Path) -> list[Job]:
    inputs = quantize_arrays(inputs, engine.model.quant_params)
    states = {pair.input: pair.output for pair in bundle.signature.states} or None
    whole = Job(engine.path, engine.name, inputs, WHOLE, states)
    tensor = engine.model.stages.get(bundle.front_end or "")
    if tensor is None:
        return [whole]
    part = work / f"front-end-{engine.path.name}"
    taken = cut_of(engine.path, tensor, part)
    return [whole, Job(part, engine.name, {name: inputs[name] for name in taken}, FRONT_END)]
