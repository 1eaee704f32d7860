"""How long a bundle or a model file takes here: every runtime, front end and network apart."""

from __future__ import annotations

from collections.abc import Callable
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
from tinyml.core.typed_json import from_json, load_json, to_json
from tinyml.core.upgrade import SCHEMA, upgraded
from tinyml.device.measure import Job, MeasurePlan, measure
from tinyml.export import parity
from tinyml.pipeline.cross_check import check_bundle
from tinyml.pipeline.links import HOST, open_link
from tinyml.pipeline.outputs import reference
from tinyml.pipeline.outputs.engines import Engine, installed, runtime_of
from tinyml.runtimes.file_read import cut_of

FRONT_END = "front end"
NETWORK = "network (difference)"


@dataclass(frozen=True, slots=True)
class Network:
    """The median time of what a whole file does after its front end, which is not timed itself."""

    runtime: str
    part: str
    p50_ns: float


@dataclass(frozen=True, slots=True)
class BenchFile:
    """What ``bench.json`` holds; ``skipped``: a line for each runtime that is not installed."""

    label: Label
    measurements: tuple[Measurement, ...]
    networks: tuple[Network, ...]
    skipped: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Benchmark:
    """Measurements of one bundle, whole and front end in turn, and where they were written."""

    measurements: tuple[Measurement, ...]
    path: Path
    skipped: tuple[str, ...]

    @property
    def label(self) -> Label:
        """What the link calls its measurements."""
        return self.measurements[0].label

    @property
    def networks(self) -> tuple[TimeDifference, ...]:
        """What is left of each whole without its front end."""
        fronts = {m.model: m for m in self.measurements if m.part == FRONT_END}
        return tuple(
            TimeDifference(whole, fronts[f"front-end-{whole.model}"])
            for whole in self.measurements
            if whole.part == WHOLE and f"front-end-{whole.model}" in fronts
        )

    @property
    def report(self) -> BenchFile:
        """Raw samples, and the differences that were formed from them."""
        networks = tuple(Network(d.whole.runtime, NETWORK, d.p50_ns) for d in self.networks)
        return BenchFile(self.label, self.measurements, networks, self.skipped)

    def rows(self) -> tuple[tuple[str, ...], list[tuple[object, ...]]]:
        """A table for people: milliseconds and megabytes."""
        head = ("runtime", "part", "load ms", "first ms", "p50 ms", "p90 ms", "peak MB", "n")
        rows: list[tuple[object, ...]] = [_row(m) for m in self.measurements]
        rows += [_difference_row(difference) for difference in self.networks]
        return head, sorted(rows, key=lambda row: str(row[0]))

    def lines(self) -> list[str]:
        """How far the differences vary."""
        return [
            f"{d.whole.runtime}: the network is a difference of medians, "
            f"{_ms(d.range_ns[0])} to {_ms(d.range_ns[1])} ms turn by turn"
            for d in self.networks
        ]


def _row(m: Measurement) -> tuple[object, ...]:
    memory = f"{m.peak_rss_kb / 1024:.0f}" if m.peak_rss_kb else "-"
    times = (_ms(m.load_ns), _ms(m.first_ns), _ms(m.p50_ns), _ms(m.p90_ns))
    return (f"{m.runtime} {m.version}", m.part, *times, memory, len(m.samples_ns))


def _difference_row(d: TimeDifference) -> tuple[object, ...]:
    return (f"{d.whole.runtime} {d.whole.version}", NETWORK, "", "", _ms(d.p50_ns), "", "", "")


def _ms(nanoseconds: float) -> str:
    return f"{nanoseconds / 1e6:.3f}"


def bench(
    what: Path,
    *,
    repeats: int,
    runs: int,
    threads: int,
    out: Path | None,
    report: Report,
    target: str = HOST,
) -> Benchmark:
    """Time every installed runtime on one of a bundle's own inputs, on the machine of ``target``.

    A single model file is timed in its runtime, on random inputs. Raises
    `MissingExtraError` when no runtime is installed, `ValidationError` for a changed
    bundle, `InputError` for a file that its runtime refuses, `UsageError` for an ``out`` in a
    bundle. The JSON file lies beside the bundle or file, never in a bundle.
    """
    check_outside(out)
    with scratch("bench") as work, open_link(target) as link:
        jobs, skipped = jobs_of(what, work)
        plan = MeasurePlan(runs=runs, threads=threads)
        measured = measure(link, jobs, repeats, plan=plan, progress=progress(report))
    path = out or beside(what)
    result = Benchmark(tuple(measured), path, skipped)
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
    if any(ns < 1 for measurement in found for ns in measurement.samples_ns):
        raise _no_benchmark(path, "a time is not positive")
    return found


def _no_benchmark(path: Path, why: str) -> InputError:
    return InputError(
        f"{path} is not what tinyml bench writes: {why.removeprefix(f'{path}: ')}",
        hint="remove it, or run tinyml bench again",
    )


def jobs_of(what: Path, work: Path) -> tuple[list[Job], tuple[str, ...]]:
    """What there is to time in a bundle or a file, and a line for each runtime that lacks.

    Parts of files are cut into ``work``. Raises as `bench`.
    """
    return (_of_file if what.is_file() else _of_bundle)(what, work)


def _of_bundle(folder: Path, work: Path) -> tuple[list[Job], tuple[str, ...]]:
    bundle = bundles.read(folder)
    check_bundle(bundle)
    expected = reference.load(folder / bundles.REFERENCE)
    expected.check(bundle.signature, bundle.stages, bundle.facts.not_judged)
    ready, skipped = installed(folder, bundle.models)
    inputs = next(iter(expected.inputs.values()))
    for engine in ready:  # a file that its runtime refuses is reported before anything is timed
        engine.open().run(inputs)
    return [job for engine in ready for job in _jobs(bundle, engine, inputs, work)], skipped


def _of_file(file: Path, _work: Path) -> tuple[list[Job], tuple[str, ...]]:
    """A file says its inputs' names, shapes and types; of recurrent state it says nothing."""
    runtime = runtime_of(file)
    session = runtime.open(file)
    inputs = parity.cases(session.signature, seed=0)["random"]
    session.run(inputs)
    return [Job(file, str(runtime.name), inputs)], ()


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
