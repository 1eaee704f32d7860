"""OpenVINO on a CPU: the engine of x86 edge boxes. It runs with its optimisations or not at all.

Not called after its package, as ort.py is not: a script in this folder would import it instead.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinyml.core.errors import InputError, MissingExtraError
from tinyml.core.spec import Array, Arrays, Signature, TensorSpec
from tinyml.core.versions import version_of
from tinyml.modelfile.broken_file import check_file
from tinyml.runtimes.base import Reader, failure, native_noise, refusal

# Imported by OpenVINO's own __init__, which does without where it cannot be: it converts models,
# and reports its use to Intel when it is imported, unless the user opted out.
CONVERTER = "openvino.tools.ovc"
# float32 stays float32 on CPUs with AMX, where OpenVINO computes in bfloat16 of its own accord.
EXACT = "f32"
DTYPES = {
    "f32": "float32",
    "f16": "float16",
    "bf16": "bfloat16",
    "i8": "int8",
    "u8": "uint8",
    "i32": "int32",
    "i64": "int64",
    "boolean": "bool",
}
# The end of a layer's ``primitiveType``: what its kernel reads. Its ``runtimePrecision`` is that of
# its input before a conversion: int8 of a convolution that has no kernel for it and runs in float32.
KERNELS = {"f32": "float32", "f16": "float16", "bf16": "bfloat16", "i8": "int8", "I8": "int8"}
# What a runtime model calls layers that only hold or move values: they tell of no precision.
MOVES = {"Const", "Input", "Output", "Reorder", "Reshape", "Concatenation", "Convert"}
MOVES |= {"Split", "Transpose", "MemoryInput", "MemoryOutput"}
# Lines of its errors that tell where in its sources they were raised, before those of the reason.
PLACES = ("Exception from ", "Check '", "FrontEnd API failed with ")


@dataclass(frozen=True, slots=True)
class OpenVinoSession:
    """A compiled model as a request; ``precision``: see `tinyml.runtimes.base.Session`."""

    path: Path
    signature: Signature
    request: Any
    precision: str

    def run(self, inputs: Arrays) -> dict[str, Array]:
        self.signature.check_inputs(inputs)
        try:
            values = self.request.infer(dict(inputs))
        except RuntimeError as error:
            raise failure(self.path, OPENVINO.name, reason(error)) from error
        return {spec.name: values[i] for i, spec in enumerate(self.signature.outputs)}


@dataclass(frozen=True, slots=True)
class OpenVino:
    """Opens ``.onnx``; its compiler has no switch for its optimisations, so nothing is read inside.

    Values could be made outputs of a copy, but layers of that copy would be fused otherwise.
    """

    name: str = "openvino"
    formats: tuple[str, ...] = ("onnx",)
    optimised: str = "openvino+fusion"
    package: str = "openvino"
    extra: str = "openvino"
    has_delegate: bool = False
    reads_inside: bool = False

    def version(self) -> str | None:
        return version_of(self.package)

    def open(self, path: Path, *, threads: int = 1) -> OpenVinoSession:
        check_file(path)
        openvino = import_openvino()
        settings = {"INFERENCE_PRECISION_HINT": EXACT, "INFERENCE_NUM_THREADS": threads}
        settings |= {"NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY"}
        try:
            with native_noise():
                core = openvino.Core()
                model = core.read_model(path)
                compiled = core.compile_model(model, "CPU", settings)
        except RuntimeError as error:
            raise refusal(path, self.name, reason(error)) from error
        try:
            # Of the model as read: a compiled one has several names for what it has merged.
            inputs = tuple(_spec(port) for port in model.inputs)
            outputs = tuple(_spec(port) for port in model.outputs)
            signature = Signature(inputs, outputs)
        except InputError as error:
            raise InputError(f"{path}: {error.message}", hint=error.hint) from error
        return OpenVinoSession(path, signature, compiled.create_infer_request(), computed(compiled))

    def read_tensors(self, path: Path, names: Sequence[str], inputs: Arrays) -> dict[str, Array]:
        return self.reader(path, names)(inputs)

    def reader(self, path: Path, names: Sequence[str]) -> Reader:
        raise InputError(
            f"{path}: {self.name} shows no values inside a file, only its outputs",
            hint="choose another runtime for them",
        )


OPENVINO = OpenVino()


def import_openvino() -> Any:
    """The module, which sends nothing: `CONVERTER` is not imported with it."""
    with _without(CONVERTER):
        try:
            import openvino
        except ImportError as error:
            raise MissingExtraError(OPENVINO.package, OPENVINO.extra) from error
    return openvino


@contextmanager
def _without(module: str) -> Iterator[None]:
    """Nobody can import ``module`` meanwhile; where it is imported already, it stays."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[module]


def computed(compiled: Any) -> str:
    """The precisions that a compiled model's layers compute in, that of the most layers first."""
    counts: Counter[str] = Counter()
    for layer in compiled.get_runtime_model().get_ops():
        found = {key: value.astype(str) for key, value in layer.get_rt_info().items()}
        kind = found.get("primitiveType", "").rpartition("_")[2]
        if kind in KERNELS and found.get("layerType") not in MOVES:
            counts[KERNELS[kind]] += 1
    return " and ".join(name for name, _ in counts.most_common())


def reason(error: Exception) -> str:
    """What OpenVINO says of a file, without the places in its own sources."""
    lines = [line.strip() for line in str(error).splitlines()]
    told = [line for line in lines if line and not line.startswith(PLACES)]
    return " ".join(told) or str(error)


def _spec(port: Any) -> TensorSpec:
    name, shape = str(port.get_any_name()), port.get_partial_shape()
    if shape.is_dynamic:
        raise InputError(
            f"'{name}' has the shape {shape}: not all sizes are fixed",
            hint="export it with fixed sizes, or fix them with "
            "python -m onnxruntime.tools.make_dynamic_shape_fixed",
        )
    kind = port.get_element_type().get_type_name()
    return TensorSpec(name, tuple(shape.to_shape()), dtype=DTYPES.get(kind, kind))
