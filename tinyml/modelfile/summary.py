"""What a model file says of itself, in one vocabulary for every format."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tinyml.modelfile.limits import LARGEST_RANK

BITS = {"int4": 4, "uint4": 4, "int2": 2, "bfloat16": 16}
# What a weight may be stored in, with a scale.
WEIGHT_INTEGERS = ("int8", "uint8", "int4", "uint4")
Shape = tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class TensorSummary:
    """An input or output; a size that is not fixed is its name or ``?``."""

    name: str
    shape: Shape
    dtype: str


@dataclass(frozen=True, slots=True)
class Layer:
    """An operator that has parameters or multiplies and accumulates.

    weight      dtype of its largest constant as stored; empty without one
    activation  dtype of what flows in, as stored: the integer where it is quantized
    parameters  elements of its constants; one that layers share counts in each
    macs        multiply-accumulates of one call; ``None`` when a shape is not known
    """

    name: str
    op: str
    weight: str
    activation: str
    parameters: int
    macs: int | None

    @property
    def in_float(self) -> bool:
        """Whether it multiplies floats: its weight says it, else what flows in."""
        return "float" in (self.weight or self.activation)


@dataclass(frozen=True, slots=True)
class Summary:
    """One model file.

    versions    operator -> its version (TFLite); operator set -> its version (ONNX)
    custom_ops  what no standard runtime has: Flex, custom, foreign domains
    parameters  elements of all constants that are weights, each counted once: floats,
                and integers with a scale; not shapes, axes or indices
    weight_bytes  those elements as stored: of sparse ones the values and where they belong
    largest_activation_bytes  the largest single tensor that is computed or given: a
                lower bound of the memory for activations
    """

    format: str
    inputs: tuple[TensorSummary, ...]
    outputs: tuple[TensorSummary, ...]
    ops: Mapping[str, int]
    layers: tuple[Layer, ...]
    parameters: int
    weight_bytes: int
    largest_activation_bytes: int | None
    versions: Mapping[str, int]
    custom_ops: tuple[str, ...]

    @property
    def macs(self) -> int | None:
        """Of convolutions and matrix products, one call; ``None`` when one is not known."""
        known = [layer.macs for layer in self.layers if layer.macs is not None]
        return sum(known) if len(known) == len(self.layers) else None

    @property
    def float_macs(self) -> int | None:
        """Of `macs`, those of layers `Layer.in_float`; ``None`` where ``macs`` is."""
        if self.macs is None:
            return None
        return sum(layer.macs or 0 for layer in self.layers if layer.in_float)

    def to_json(self) -> dict[str, Any]:
        facts = asdict(self)
        layers = facts.pop("layers")
        return {**facts, "macs": self.macs, "float_macs": self.float_macs, "layers": layers}


def counted(ops: Iterable[str]) -> dict[str, int]:
    """Operators by name, the most frequent first, then by name."""
    return dict(sorted(Counter(ops).items(), key=lambda item: (-item[1], item[0])))


def elements(shape: Sequence[int | str] | None) -> int | None:
    """Number of elements; ``None`` when a size is not fixed, or they are too many for a shape."""
    if shape is None or len(shape) > LARGEST_RANK:
        return None
    if any(not isinstance(size, int) or size < 0 for size in shape):
        return None
    return math.prod(int(size) for size in shape)


def product(shape: Sequence[int | str] | None, *factors: int | str | None) -> int | None:
    """Elements of ``shape`` times ``factors``; ``None`` when one of them is not known."""
    return elements([*shape, *("?" if f is None else f for f in factors)]) if shape else None


def size_bytes(shape: Sequence[int | str] | None, dtype: str) -> int | None:
    """Bytes of a tensor; ``None`` when its shape is not fixed or its type has no size."""
    count = elements(shape)
    try:
        bits = BITS[dtype] if dtype in BITS else 8 * np.dtype(dtype).itemsize
    except TypeError:
        return None
    return None if count is None or not bits else -(-count * bits // 8)
