"""The contract of an exported function: named tensors in, named tensors out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyml.core.errors import InputError

Array = NDArray[Any]
Arrays = Mapping[str, Array]

DTYPES = ("float32", "float16", "int8", "uint8", "int32", "int64", "bool")


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output.

    ``axes`` names each dimension (``("batch", "time")``); ``rate_hz`` is the sample
    rate of a waveform and ``None`` for anything else.
    """

    name: str
    shape: tuple[int, ...]
    axes: tuple[str, ...] = ()
    dtype: str = "float32"
    rate_hz: int | None = None

    def __post_init__(self) -> None:
        if not self.name:
            raise InputError("a tensor needs a name")
        if any(not isinstance(n, int) or n < 1 for n in self.shape):
            raise InputError(f"tensor '{self.name}': shape {self.shape} is not fixed and positive")
        if self.axes and len(self.axes) != len(self.shape):
            raise InputError(
                f"tensor '{self.name}': {len(self.axes)} axes for {len(self.shape)} dimensions"
            )
        if self.dtype not in DTYPES:
            raise InputError(
                f"tensor '{self.name}': dtype '{self.dtype}' is none of {', '.join(DTYPES)}"
            )

    def check(self, array: Array) -> None:
        """Raise `InputError` unless ``array`` has this shape and dtype."""
        if array.shape != self.shape or str(array.dtype) != self.dtype:
            raise InputError(
                f"'{self.name}' is {array.dtype}{list(array.shape)}, "
                f"the model takes {self.dtype}{list(self.shape)}"
            )


@dataclass(frozen=True, slots=True)
class StatePair:
    """An output that becomes an input at the next call (recurrent state)."""

    input: str
    output: str


@dataclass(frozen=True, slots=True)
class Signature:
    """Inputs and outputs by name, in order; every format keeps these names."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    states: tuple[StatePair, ...] = ()

    def __post_init__(self) -> None:
        names = [spec.name for spec in (*self.inputs, *self.outputs)]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise InputError(f"the signature names {doubled} twice")
        if not self.inputs or not self.outputs:
            raise InputError("a signature needs at least one input and one output")
        for pair in self.states:
            self._check_pair(pair)

    def _check_pair(self, pair: StatePair) -> None:
        into, out = self.input(pair.input), self.output(pair.output)
        if (into.shape, into.dtype) != (out.shape, out.dtype):
            raise InputError(f"state '{pair.input}' and '{pair.output}' differ in shape or dtype")

    def input(self, name: str) -> TensorSpec:
        """The input called ``name``; `InputError` when there is none."""
        return _named(self.inputs, name, "input")

    def output(self, name: str) -> TensorSpec:
        """The output called ``name``; `InputError` when there is none."""
        return _named(self.outputs, name, "output")

    def check_inputs(self, arrays: Arrays) -> None:
        """Raise `InputError` unless ``arrays`` are exactly the inputs."""
        wanted = {spec.name for spec in self.inputs}
        if set(arrays) != wanted:
            raise InputError(f"inputs {sorted(arrays)} given, the model takes {sorted(wanted)}")
        for spec in self.inputs:
            spec.check(arrays[spec.name])


def _named(specs: tuple[TensorSpec, ...], name: str, kind: str) -> TensorSpec:
    for spec in specs:
        if spec.name == name:
            return spec
    raise InputError(f"no {kind} is called '{name}'; there are {[s.name for s in specs]}")


Options = Mapping[str, str | int | float | bool]


def zeros(signature: Signature) -> dict[str, Array]:
    """Silence: each input of ``signature``, all zeros."""
    return {spec.name: np.zeros(spec.shape, spec.dtype) for spec in signature.inputs}
