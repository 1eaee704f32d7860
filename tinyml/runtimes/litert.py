"""LiteRT, or its predecessor tflite-runtime where only that one has a wheel."""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinyml.core.errors import InputError, MissingExtraError
from tinyml.core.spec import Array, Arrays, Signature, TensorSpec
from tinyml.modelfile.broken_file import check_file, unknown_tensor
from tinyml.runtimes.base import READER_THREADS, Reader, failure, heard, native_noise, refusal

PACKAGES = (("ai-edge-litert", "ai_edge_litert"), ("tflite-runtime", "tflite_runtime"))


@dataclass(frozen=True, slots=True)
class LiteRtSession:
    """A model in an ``Interpreter``; ``indices`` are the tensors behind the names."""

    path: Path
    signature: Signature
    engine: Any
    indices: Mapping[str, int]
    precision: str = ""

    def run(self, inputs: Arrays) -> dict[str, Array]:
        self.signature.check_inputs(inputs)
        self.invoke(inputs)
        outputs = (spec.name for spec in self.signature.outputs)
        return {name: self.value(self.indices[name]) for name in outputs}

    def invoke(self, inputs: Arrays) -> None:
        """Run once; what it computed is read by `value`."""
        try:
            for name, array in inputs.items():
                self.engine.set_tensor(self.indices[name], array)
            self.engine.invoke()
        except (RuntimeError, ValueError) as error:
            raise failure(self.path, LITERT.name, error) from error

    def value(self, index: int) -> Array:
        """The tensor at ``index`` as it is now."""
        return np.asarray(self.engine.get_tensor(index))

    def real_value(self, index: int, detail: Mapping[str, Any]) -> Array:
        """`value`, of an integer that has a scale the number that it stands for."""
        value, told = self.value(index), detail["quantization_parameters"]
        if value.dtype.kind not in "iu" or not len(told["scales"]):
            return value
        along = [1] * value.ndim
        if len(told["scales"]) > 1:
            along[told["quantized_dimension"]] = -1
        scale, zero = (np.reshape(told[key], along) for key in ("scales", "zero_points"))
        return np.asarray((value.astype(np.float32) - zero) * scale, np.float32)


@dataclass(frozen=True, slots=True)
class LiteRt:
    """Opens ``.tflite`` with the default delegate, XNNPACK; reads inside with none."""

    name: str = "litert"
    formats: tuple[str, ...] = ("tflite",)
    optimised: str = "litert+xnnpack"
    package: str = PACKAGES[0][0]
    extra: str = "tflite"
    has_delegate: bool = True
    reads_inside: bool = True

    def version(self) -> str | None:
        """Version of the package that `open` uses, with its name unless it is LiteRT's."""
        for package, _ in PACKAGES:
            try:
                version = importlib.metadata.version(package)
            except importlib.metadata.PackageNotFoundError:
                continue
            return version if package == PACKAGES[0][0] else f"{package} {version}"
        return None

    def open(self, path: Path, *, threads: int = 1) -> LiteRtSession:
        check_file(path)
        return _session(path, num_threads=threads)

    def read_tensors(self, path: Path, names: Sequence[str], inputs: Arrays) -> dict[str, Array]:
        return self.reader(path, names)(inputs)

    def reader(self, path: Path, names: Sequence[str]) -> Reader:
        """See `Runtime.reader`; also takes the names of the signature."""
        check_file(path)
        plain = import_interpreter().OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        session = _session(
            path,
            num_threads=READER_THREADS,
            experimental_op_resolver_type=plain,
            experimental_preserve_all_tensors=True,
        )
        indices = _indices_of(session, names)
        details = {int(own["index"]): own for own in session.engine.get_tensor_details()}

        def read(inputs: Arrays) -> dict[str, Array]:
            session.signature.check_inputs(inputs)
            session.invoke(inputs)
            return {n: session.real_value(i, details[i]).copy() for n, i in indices.items()}

        return read


LITERT = LiteRt()


def import_interpreter() -> Any:
    """The interpreter's module, from LiteRT or else from tflite-runtime."""
    for _, module in PACKAGES:
        try:
            with native_noise():
                return importlib.import_module(f"{module}.interpreter")
        except ModuleNotFoundError as error:
            if not (error.name or "").startswith(module):
                raise
    raise MissingExtraError(LITERT.package, LITERT.extra)


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    with native_noise() as caught:
        try:
            yield
        except (RuntimeError, ValueError) as error:
            raise refusal(path, LITERT.name, error, heard(caught)) from error


def _session(path: Path, **options: Any) -> LiteRtSession:
    module = import_interpreter()
    with _refusing(path):
        engine = module.Interpreter(model_path=str(path), **options)
        engine.allocate_tensors()
    inputs, outputs = _details(path, engine)
    try:
        signature = Signature(_specs(inputs), _specs(outputs))
    except InputError as error:
        raise InputError(f"{path}: {error.message}", hint=error.hint) from error
    indices = {name: int(detail["index"]) for name, detail in (inputs | outputs).items()}
    return LiteRtSession(path, signature, engine, indices)


def _details(path: Path, engine: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Inputs and outputs by name: the signature's, or the tensors' own in a file without one."""
    signatures = engine.get_signature_list()
    if len(signatures) > 1:
        raise InputError(
            f"{path} has {len(signatures)} signatures: {sorted(signatures)}",
            hint="export each function to a separate file",
        )
    if not signatures:
        return _by_name(engine.get_input_details()), _by_name(engine.get_output_details())
    runner = engine.get_signature_runner(next(iter(signatures)))
    inputs, outputs = runner.get_input_details(), runner.get_output_details()
    return _in_file_order(inputs, engine.get_input_details()), _in_file_order(
        outputs, engine.get_output_details()
    )


def _by_name(details: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {str(detail["name"]): detail for detail in details}


def _in_file_order(
    named: Mapping[str, Mapping[str, Any]], details: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """A signature lists its names sorted; the graph keeps the order they were exported in."""
    order = [detail["index"] for detail in details]
    return dict(sorted(named.items(), key=lambda item: order.index(item[1]["index"])))


def _specs(details: Mapping[str, Mapping[str, Any]]) -> tuple[TensorSpec, ...]:
    return tuple(
        TensorSpec(
            name,
            tuple(int(size) for size in detail["shape"]),
            dtype=np.dtype(detail["dtype"]).name,
        )
        for name, detail in details.items()
    )


def _indices_of(session: LiteRtSession, names: Sequence[str]) -> dict[str, int]:
    found: dict[str, list[int]] = {}
    for detail in session.engine.get_tensor_details():
        found.setdefault(str(detail["name"]), []).append(int(detail["index"]))
    for name, index in session.indices.items():
        found[name] = [index]
    for name in names:
        if name not in found:
            raise unknown_tensor(session.path, name, found)
        if len(found[name]) > 1:
            raise InputError(f"{session.path} has {len(found[name])} tensors called '{name}'")
    return {name: found[name][0] for name in names}
