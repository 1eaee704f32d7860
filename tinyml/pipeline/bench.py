"""How long a bundle or a model file takes here: every runtime, front end and network apart."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from tinyml.core import bundle as bundles
from tinyml.core.bundle import Bundle
from tinyml.core.bundle_folder import bundle_around, check_outside
from tinyml.core.errors import InputError
from tinyml.core.events import Progress, Report
from tinyml.core.files import resolved, write_json
from tinyml.core.measurement import WHOLE, Label, Measurement, TimeDifference
from tinyml.core.quant_params import quantize_arrays
from tinyml.core.scratch import scratch
from tinyml.core.spec import Arrays
from tinyml.core.target import find_target
from tinyml.core.typed_json import from_json, load_json, to_json
from tinyml.core.upgrade import SCHEMA, upgraded
from tinyml.device.measure import Job, measure
from tinyml.export import parity
from tinyml.pipeline.cross_check import check_bundle
from tinyml.pipeline.links import open_link
from tinyml.pipeline.outputs import reference
from tinyml.pipeline.outputs.engines import Engine, installed, joining, runtimes_of
from tinyml.pipeline.timing import Timing
from tinyml.runtimes.file_read import cut_of

FRONT_END = "front end"
NETWORK = "network (difference)"


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
    """What ``bench.json`` holds; ``skipped``: a line for each runtime that is not installed."""

    label: Label
    measurements: tuple[Measurement, ...]
    networks: tuple[Network, ...]
    skipped: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Benchmark:
    """Measurements of one bundle, whole and front end in turn, and where they are written.

    With ``cpu_time``, what is shown are CPU times; what is written has both.
    """

    measurements: tuple[Measurement, ...]
    path: Path
    skipped: tuple[str, ...]
    cpu_time: bool = False

    @property
    def label(self) -> Label:
        """What the link calls its measurements."""
        return self.measurements[0].label

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

    @property
    def report(self) -> BenchFile:
        """Raw samples, and the differences that were formed from them."""
        networks = tuple(
            Network(d.whole.runtime, NETWORK, d.p50_ns, d.whole.conditions.threads)
            for d in self.networks
        )
        return BenchFile(self.label, self.measurements, networks, self.skipped)


def _key(m: Measurement, model: str) -> tuple[str, str, int | None]:
    return model, m.runtime, m.conditions.threads


def bench(
    what: Path,
    *,
    timing: Timing,
    out: Path | None,
    report: Report,
    cpu_time: bool = False,
) -> Benchmark:
    """Time every installed runtime on one of a bundle's own inputs, as ``timing`` says.

    A single model file is timed in its runtime, on random inputs. Raises
    `MissingExtraError` when no runtime is installed, `ValidationError` for a changed
    bundle, `InputError` for a file that its runtime refuses, `UsageError` for an ``out`` in a
    bundle. The JSON file lies beside the bundle or file, never in a bundle.
    """
    check_outside(out)
    with scratch("bench") as work, open_link(timing.target) as link:
        jobs, skipped = jobs_of(what, work, timing.target)
        measured = measure(
            link, timing.jobs(jobs), timing.repeats, plan=timing.plan, progress=progress(report)
        )
    path = out or beside(what)
    result = Benchmark(tuple(measured), path, skipped, cpu_time)
    write_json(path, {"schema": SCHEMA, **to_json(result.report)})
    return result


def beside(what: Path) -> Path:
    """Where the benchmark of a bundle or a file is written unless it is told.

    That of a bundle's file lies beside the bundle: what is added to one breaks its seal.
    """
    path = what.absolute()
    around = bundle_around(path)
    if around is None:
        return path.parent / f"{path.name}.bench.json"
    inner = ".".join(resolved(path).relative_to(around).parts)
    return around.parent / f"{around.name}.{inner}.bench.json"


def read_measurements(path: Path) -> tuple[Measurement, ...]:
    """What `bench` wrote to ``path``; `InputError` when it is anything else."""
    try:
        data = load_json(path)
        data = upgraded(data, what=f"{path}", unnumbered=1)
        found = from_json(BenchFile, data, what=f"{path}").measurements
    except InputError as error:
        raise _no_benchmark(path, str(error)) from error
    if any(ns < 1 for m in found for process in m.all_processes for ns in process.samples_ns):
        raise _no_benchmark(path, "a time is not positive")
    return found


def _no_benchmark(path: Path, why: str) -> InputError:
    return InputError(
        f"{path} is not what tinyml bench writes: {why.removeprefix(f'{path}: ')}",
        hint="remove it, or run tinyml bench again",
    )


def jobs_of(what: Path, work: Path, target: str) -> tuple[list[Job], tuple[str, ...]]:
    """What there is to time in a bundle or a file, and a line for each runtime that lacks.

    Optional engines join where ``target`` has them, with a line for what one refuses. Parts of
    files are cut into ``work``. Raises as `bench`.
    """
    names = joining(find_target(target))
    return (_of_file if what.is_file() else _of_bundle)(what, work, names)


def _of_bundle(
    folder: Path, work: Path, optional: Collection[str]
) -> tuple[list[Job], tuple[str, ...]]:
    bundle = bundles.read(folder)
    check_bundle(bundle)
    expected = reference.load(folder / bundles.REFERENCE)
    expected.check(bundle.signature, bundle.stages, bundle.facts.not_judged)
    ready, skipped = installed(folder, bundle.models, optional)
    inputs = next(iter(expected.inputs.values()))
    jobs: list[Job] = []
    refused: list[str] = []
    for engine in ready:  # a file that its runtime refuses is reported before anything is timed
        try:
            engine.open().run(inputs)
            mine = _jobs(bundle, engine, inputs, work)
            for part in mine[1:]:
                engine.runtime.open(part.path)
        except InputError as error:
            if not engine.optional:
                raise
            refused.append(error.message.replace(f"{engine.path.parent}/", ""))
        else:
            jobs += mine
    return jobs, (*skipped, *refused)


def _of_file(
    file: Path, _work: Path, optional: Collection[str]
) -> tuple[list[Job], tuple[str, ...]]:
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
    return jobs, tuple(refused)


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


def progress(report: Report) -> Callable[[str, int, int], None]:
    def forward(title: str, done: int, total: int) -> None:
        report(Progress("timing", done, total, title))

    return forward
