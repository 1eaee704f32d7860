"""onnxruntime on the CPU; the only module besides the runner that imports it."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinyml.core.errors import InputError, MissingExtraError
from tinyml.core.spec import Array, Arrays, Signature, TensorSpec
from tinyml.modelfile.broken_file import check_file, unknown_tensor
from tinyml.modelfile.onnx_file import import_onnx, known_shape, read_onnx, refuse_outside_data
from tinyml.runtimes.base import (
    READER_THREADS,
    Reader,
    RefusedError,
    failure,
    native_noise,
    refusal,
)
from tinyml.runtimes.runner import machine
from tinyml.runtimes.runner.engines import ROUNDING, WHOLE_SUMS

DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(int8)": "int8",
    "tensor(uint8)": "uint8",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(bool)": "bool",
}
SILENT = 4
ONNX_DOMAIN = ("", "ai.onnx")  # two names of one


@dataclass(frozen=True, slots=True)
class OrtSession:
    """A model in an ``onnxruntime.InferenceSession``."""

    path: Path
    signature: Signature
    engine: Any
    precision: str = ""

    def run(self, inputs: Arrays) -> dict[str, Array]:
        self.signature.check_inputs(inputs)
        names = [spec.name for spec in self.signature.outputs]
        return _fetch(self.path, self.engine, names, inputs)


@dataclass(frozen=True, slots=True)
class OnnxRuntime:
    """Opens ``.onnx`` with all graph optimisations; reads inside with none."""

    name: str = "onnxruntime"
    formats: tuple[str, ...] = ("onnx",)
    optimised: str = "onnxruntime+fusion"
    package: str = "onnxruntime"
    extra: str = "onnx"
    has_delegate: bool = False
    reads_inside: bool = True

    def version(self) -> str | None:
        try:
            return importlib.metadata.version("onnxruntime")
        except importlib.metadata.PackageNotFoundError:
            return None

    def open(self, path: Path, *, threads: int = 1) -> OrtSession:
        check_file(path)
        engine = _engine(path, str(path), threads, optimise=True)
        try:
            values = [*engine.get_inputs(), *engine.get_outputs()]
            stored = {} if all(map(_is_fixed, values)) else _stored_shapes(path)
            inputs = tuple(_spec(value, stored) for value in engine.get_inputs())
            outputs = tuple(_spec(value, stored) for value in engine.get_outputs())
            signature = Signature(inputs, outputs)
        except InputError as error:
            raise InputError(f"{path}: {error.message}", hint=error.hint) from error
        return OrtSession(path, signature, engine)

    def read_tensors(self, path: Path, names: Sequence[str], inputs: Arrays) -> dict[str, Array]:
        return self.reader(path, names)(inputs)

    def reader(self, path: Path, names: Sequence[str]) -> Reader:
        """See `Runtime.reader`: the values become graph outputs of a copy in memory."""
        check_file(path)
        model = read_onnx(path)
        own = {value.name for value in model.graph.input}
        wanted = [name for name in dict.fromkeys(names) if name not in own]
        data = _with_outputs(path, model, wanted)
        engine = _engine(path, data, READER_THREADS, optimise=False) if wanted else None

        def read(inputs: Arrays) -> dict[str, Array]:
            given = {name: inputs[name] for name in names if name in own}
            return given | (_fetch(path, engine, wanted, inputs) if engine else {})

        return read


ONNXRUNTIME = OnnxRuntime()


def import_onnxruntime() -> Any:
    """The module, its telemetry (on by default from 1.29) switched off before the import."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError(ONNXRUNTIME.package, ONNXRUNTIME.extra) from error
    return onnxruntime


def _errors() -> tuple[type[Exception], ...]:
    """What the engine raises: its exceptions share no base class, and bad feeds are ValueError."""
    import_onnxruntime()
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    names = ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NoModel", "NotFound")
    more = ("EPFail", "EngineError", "NoSuchFile", "NotImplemented", "RuntimeException")
    return (ValueError, *(getattr(state, name) for name in (*names, *more)))


def _engine(path: Path, model: str | bytes, threads: int, *, optimise: bool) -> Any:
    ort = import_onnxruntime()
    options = ort.SessionOptions()
    options.log_severity_level = SILENT
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    data = model if isinstance(model, bytes) else Path(model).read_bytes()
    if any(name in data for name in ROUNDING) and not machine.has_dot_products():
        options.add_session_config_entry(*WHOLE_SUMS)
    level = ort.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_ENABLE_ALL if optimise else level.ORT_DISABLE_ALL
    try:
        with native_noise():
            return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except _errors() as error:
        raise _newer_opset(path, data) or refusal(path, ONNXRUNTIME.name, error) from error


def _newer_opset(path: Path, data: bytes) -> RefusedError | None:
    """The refusal of a file whose operator set is newer than any that the engine has."""
    from onnxruntime.capi import _pybind_state as state

    try:
        model = import_onnx().ModelProto.FromString(data)
    except Exception:  # what the engine itself says of it is enough
        return None
    opset = max((own.version for own in model.opset_import if own.domain in ONNX_DOMAIN), default=0)
    schemas = state.get_all_operator_schema()
    newest = max(own.since_version for own in schemas if own.domain in ONNX_DOMAIN)
    if opset <= newest:
        return None
    reason = f"opset {opset}; onnxruntime {ONNXRUNTIME.version()} reads up to {newest}"
    hint = f"export it with opset_version={newest} or lower, or install a newer onnxruntime"
    return refusal(path, ONNXRUNTIME.name, reason, hint=hint)


def _fetch(path: Path, engine: Any, names: Sequence[str], inputs: Arrays) -> dict[str, Array]:
    try:
        values = engine.run(list(names), dict(inputs))
    except _errors() as error:
        raise failure(path, ONNXRUNTIME.name, error) from error
    return dict(zip(names, values, strict=True))


def _is_fixed(value: Any) -> bool:
    return all(isinstance(size, int) for size in value.shape)


def _stored_shapes(path: Path) -> dict[str, tuple[int, ...] | None]:
    """Input or output -> the fixed shape that the file gives it.

    The engine forgets a size where its own inference of shapes comes to another one.
    """
    graph = read_onnx(path).graph
    return {value.name: known_shape(value) for value in (*graph.input, *graph.output)}


def _spec(value: Any, stored: Mapping[str, tuple[int, ...] | None]) -> TensorSpec:
    free = [size for size in value.shape if not isinstance(size, int)]
    fixed = stored.get(value.name)
    if free and fixed is not None:
        return TensorSpec(value.name, fixed, dtype=DTYPES.get(value.type, value.type))
    if free:
        raise InputError(
            f"'{value.name}' has the shape {value.shape}: the sizes {free} are not fixed",
            hint="export it with fixed sizes, or fix them with "
            "python -m onnxruntime.tools.make_dynamic_shape_fixed",
        )
    return TensorSpec(value.name, tuple(value.shape), dtype=DTYPES.get(value.type, value.type))


def _with_outputs(path: Path, model: Any, names: Sequence[str]) -> bytes:
    """The model read from ``path`` with the values ``names`` as its only outputs."""
    onnx = import_onnx()
    refuse_outside_data(path, model)
    graph = model.graph
    known = {name for node in graph.node for name in node.output if name}
    known |= {weight.name for weight in graph.initializer}
    for name in names:
        if name not in known:
            raise unknown_tensor(path, name, known)
    del graph.output[:]
    graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    return bytes(model.SerializeToString())
