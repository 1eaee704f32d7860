"""Which runtime runs which model file of a bundle, and its outputs."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tinyml.core import registry
from tinyml.core.bundle import Bundle, ModelFile, in_order
from tinyml.core.errors import MissingExtraError, UsageError
from tinyml.core.plan_record import Float16Record, QuantRecord
from tinyml.core.quant_params import dequantize_arrays, quantize_arrays, step
from tinyml.core.spec import Array, Arrays
from tinyml.core.target import Target
from tinyml.core.tolerance import PolicyName
from tinyml.export.parity import GENERATED
from tinyml.export.quantization.precision import find_precision
from tinyml.pipeline import formats
from tinyml.pipeline.outputs.real_session import RealSession
from tinyml.runtimes.base import Runtime, Session
from tinyml.runtimes.file_session import ChildRuntime
from tinyml.runtimes.own_files import OwnFiles


@dataclass(frozen=True, slots=True)
class Engine:
    """One model file in one runtime.

    optional  it joins the reference engine of the file's format where it is installed: a file
              that it refuses is a good one all the same
    """

    model: ModelFile
    path: Path
    runtime: Any
    optional: bool = False

    @property
    def name(self) -> str:
        """The runtime's name, as in reports."""
        return str(self.runtime.name)

    @property
    def optimised(self) -> str:
        """The name of a run with the optimisations that users get, as in reports."""
        return str(self.runtime.optimised)

    @property
    def policy(self) -> PolicyName:
        """What its answers are judged by: the file's precision says it."""
        return find_precision(self.model.precision).policy

    def policy_of(self, stage: str) -> PolicyName:
        """`policy`, but that of float32 for a stage that no integer has a part in."""
        plan = self.model.plan
        exact = isinstance(plan, QuantRecord) and stage in plan.exact
        return "engine" if exact else self.policy

    def step_of(self, stage: str) -> float | None:
        """One quantization step of a stage's or output's tensor; ``None``: it is no integer."""
        plan = self.model.plan
        if not isinstance(plan, QuantRecord) or not plan.samples:
            return None
        tensor = plan.tensors.get(plan.stages.get(stage) or stage)
        if tensor is None or tensor.scheme == "float32":
            return None
        return step(tensor.scheme, tensor.low, tensor.high)

    def judges(self, case: str, others: Collection[str]) -> bool:
        """Whether ``case`` of ``others`` counts: integers are for inputs as the model gets them.

        Their steps are those of the largest values, so generated inputs, far from any data,
        are shown without a verdict where there are better ones. So are those that the plan of a
        float16 file names.
        """
        plan = self.model.plan
        if isinstance(plan, Float16Record):
            return case not in GENERATED or case not in plan.not_judged
        better = any(other not in GENERATED for other in others)
        quantized = find_precision(self.model.precision).quantized
        return not quantized or case not in GENERATED or not better

    def open(self) -> Session:
        """The file as users get it, real numbers in and out even where it has integers."""
        session: Session = self.runtime.open(self.path)
        return RealSession(session, self.model.quant_params) if self.model.quant_params else session

    def stages(self, inputs: Arrays) -> dict[str, Array | None]:
        """Stage -> value in the shipped file without optimisation; ``None``: fused away.

        Raises `InputError` where the runtime does not read inside.
        """
        names = [tensor for tensor in self.model.stages.values() if tensor is not None]
        given = quantize_arrays(inputs, self.model.quant_params)
        values = self.runtime.read_tensors(self.path, names, given)
        # onnxruntime hands out an output as it is; LiteRT's reader knows what it stands for.
        whole = {n: v for n, v in values.items() if v.dtype.kind in "iu"}
        values = {**values, **dequantize_arrays(whole, self.model.quant_params)}
        return {
            stage: None if tensor is None else self._in_order(stage, values[tensor])
            for stage, tensor in self.model.stages.items()
        }

    def _in_order(self, stage: str, value: Array) -> Array:
        order = self.model.layouts.get(stage)
        return value if order is None else in_order(value, order)


def engines(folder: Path, models: tuple[ModelFile, ...]) -> Iterator[Engine]:
    """The reference engine of every model file, installed or not: files that we wrote ourselves."""
    for engine in _engines(folder, models):
        if not engine.optional:
            quantized = find_precision(engine.model.precision).quantized
            yield replace(engine, runtime=OwnFiles(engine.runtime, as_converted=not quantized))


def given_engines(folder: Path, models: tuple[ModelFile, ...]) -> Iterator[Engine]:
    """All engines of every model file, its reference engine first: each opens it in a child.

    So that a bundle that a user gives, or an optional engine, kills no process but its own.
    """
    for engine in _engines(folder, models):
        yield replace(engine, runtime=_in_child(engine.runtime))


def optional_engines(
    folder: Path, models: tuple[ModelFile, ...], names: Collection[str]
) -> list[Engine]:
    """Those of ``names``, in children."""
    found = given_engines(folder, models)
    return [engine for engine in found if engine.optional and engine.name in names]


def joining(target: Target) -> set[str]:
    """The runtimes of ``target`` that are installed: the optional ones among them join."""
    known = [name for name in target.runtimes if name in registry.RUNTIMES]
    return {name for name in known if registry.load("runtime", name).version() is not None}


def _engines(folder: Path, models: tuple[ModelFile, ...]) -> Iterator[Engine]:
    for model in models:
        for place, runtime in enumerate(formats.runtimes_of(formats.named(model.format))):
            yield Engine(model, folder / model.path, runtime, optional=place > 0)


def _in_child(runtime: Any) -> ChildRuntime:
    return ChildRuntime(runtime, registry.RUNTIMES[runtime.name])


def installed(
    folder: Path, models: tuple[ModelFile, ...], optional: Collection[str] = ()
) -> tuple[list[Engine], tuple[str, ...]]:
    """The engines that can run here, and a line for each that cannot: of a bundle that is given.

    ``optional``: names of the optional engines that are wanted. Raises `MissingExtraError` when
    no engine can run.
    """
    found = [e for e in given_engines(folder, models) if not e.optional or e.name in optional]
    ready = [engine for engine in found if engine.runtime.version() is not None]
    if not ready:
        raise MissingExtraError(found[0].runtime.package, found[0].runtime.extra)
    lacking = [engine for engine in found if engine not in ready]
    return ready, tuple(f"{e.model.path}: {e.name} is not installed" for e in lacking)


def runtime_of(file: Path) -> Any:
    """The runtime that opens a file that a user gives, by its suffix, in a child process.

    Raises `InputError` for any other file.
    """
    return _in_child(formats.runtime_of(formats.format_of(file)))


def runtimes_of(file: Path, optional: Collection[str]) -> list[ChildRuntime]:
    """`runtime_of`, then those of the ``optional`` ones that open such a file."""
    first, *others = formats.runtimes_of(formats.format_of(file))
    return [_in_child(own) for own in (first, *(own for own in others if own.name in optional))]


def require(runtime: Runtime) -> None:
    """Raise `MissingExtraError` unless the runtime is installed."""
    if runtime.version() is None:
        raise MissingExtraError(runtime.package, runtime.extra)


def candidates(bundle: Bundle, name: str | None) -> list[Engine]:
    """The engine called ``name``, else all, the preferred first; `UsageError` for another name."""
    found = {engine.name: engine for engine in given_engines(bundle.folder, bundle.models)}
    if name is None:
        return [found[own] for own in registry.RUNTIMES if own in found]
    if name in found:
        return [found[name]]
    if name in registry.RUNTIMES:
        raise UsageError(
            f"{bundle.folder} has no file for {name}", hint=f"it has: {', '.join(found)}"
        )
    raise registry.unknown_name("runtime", name, found)


def choose(bundle: Bundle, name: str | None) -> Engine:
    """The engine called ``name``, else the first installed; `UsageError`, `MissingExtraError`."""
    wanted = candidates(bundle, name)
    for engine in wanted:
        if engine.runtime.version() is not None:
            return engine
    require(wanted[0].runtime)
    raise AssertionError("unreachable: require raises")
