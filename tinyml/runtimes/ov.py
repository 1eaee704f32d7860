"""OpenVINO on a CPU: the engine of x86 edge boxes. It runs with its optimisations or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinyml.core.errors import InputError, MissingExtraError
from tinyml.core.spec import Array, Arrays, Signature, TensorSpec
from tinyml.core.versions import version_of
from tinyml.modelfile.broken_file import check_file
from tinyml.runtimes.base import Reader, failure, native_noise, refusal
from tinyml.runtimes.runner.openvino_model import OpenVinoModel, dtype, import_openvino

# Lines of its errors that tell where in its sources they were raised, before those of the reason.
PLACES = ("Exception from ", "Check '", "FrontEnd API failed with ")


@dataclass(frozen=True, slots=True)
class OpenVinoSession:
    """A compiled model; ``precision``: see `tinyml.runtimes.base.Session`."""

    path: Path
    signature: Signature
    model: Any
    precision: str

    def run(self, inputs: Arrays) -> dict[str, Array]:
        self.signature.check_inputs(inputs)
        try:
            values: dict[str, Array] = self.model.run(dict(inputs))
        except RuntimeError as error:
            raise failure(self.path, OPENVINO.name, reason(error)) from error
        return values


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
        try:
            module = import_openvino()
        except ImportError as error:
            raise MissingExtraError(self.package, self.extra) from error
        try:
            with native_noise():
                model = OpenVinoModel(module, str(path), threads, False, None)
        except RuntimeError as error:
            raise refusal(path, self.name, reason(error)) from error
        try:
            inputs = tuple(map(_spec, model.read.inputs))
            signature = Signature(inputs, tuple(map(_spec, model.read.outputs)))
        except InputError as error:
            raise InputError(f"{path}: {error.message}", hint=error.hint) from error
        return OpenVinoSession(path, signature, model, model.precision)

    def read_tensors(self, path: Path, names: Sequence[str], inputs: Arrays) -> dict[str, Array]:
        return self.reader(path, names)(inputs)

    def reader(self, path: Path, names: Sequence[str]) -> Reader:
        raise InputError(
            f"{path}: {self.name} shows no values inside a file, only its outputs",
            hint="choose another runtime for them",
        )


OPENVINO = OpenVino()


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
    return TensorSpec(name, tuple(shape.to_shape()), dtype=dtype(port))
