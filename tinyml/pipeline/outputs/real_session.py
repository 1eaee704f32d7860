"""A session of a file with integer inputs and outputs, used with real numbers all the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from tinyml.core.quant_params import QuantParams, dequantize_arrays, quantize_arrays
from tinyml.core.spec import Array, Arrays, Signature, TensorSpec
from tinyml.runtimes.base import Session


@dataclass(frozen=True, slots=True)
class RealSession:
    """``ends``: input or output -> the integers that the file has there."""

    session: Session
    ends: Mapping[str, QuantParams]

    @property
    def signature(self) -> Signature:
        """The file's, in float32 where it has integers."""
        own = self.session.signature
        return Signature(
            tuple(map(self._spec, own.inputs)), tuple(map(self._spec, own.outputs)), own.states
        )

    @property
    def precision(self) -> str:
        """The file's."""
        return self.session.precision

    def run(self, inputs: Arrays) -> dict[str, Array]:
        """As `Session.run`; quantized on the way in, dequantized on the way out."""
        self.signature.check_inputs(inputs)
        return dequantize_arrays(self.session.run(quantize_arrays(inputs, self.ends)), self.ends)

    def _spec(self, spec: TensorSpec) -> TensorSpec:
        return replace(spec, dtype="float32") if spec.name in self.ends else spec
