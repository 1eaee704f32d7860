"""A model file as operators over tensors, one view for both formats; nothing is run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinyml.core.spec import Array
from tinyml.modelfile.ops import WEIGHTED, OpTraits, Shape, elements, traits_of

BITS = {"int4": 4, "uint4": 4, "int2": 2, "bfloat16": 16}
# What a weight may be stored in, with a scale.
WEIGHT_INTEGERS = ("int8", "uint8", "int4", "uint4")
# What unpacks a constant (float16, sparse, quantized), or only moves its values.
DEQUANTIZE = ("DequantizeLinear", "com.microsoft:DequantizeLinear")
UNPACKING = ("DENSIFY", "DEQUANTIZE")
CARRIERS = (*UNPACKING, *DEQUANTIZE, "Identity", "Cast", "Transpose", "Reshape")
# Activations that runtimes compute with the layer in front; TFLite's operators have them built in.
ACTIVATIONS = ("Relu", "Clip")
# Operators that only carry a weight, between it and what multiplies by it: a broken file may
# have a circle of them.
FARTHEST = 32


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor.

    shape     ``None`` where a size is not known; of a .tflite file as stored
    constant  gives its array, if it is stored, with the zeros of one that is stored sparse
    key       where it is stored, once if shared
    sparse    whether it is stored without its zeros
    stored    bytes in the file
    scaled    whether the file gives a scale for it
    fixed     whether no size but the first, the batch, may change
    """

    name: str
    shape: tuple[int, ...] | None
    dtype: str
    constant: Callable[[], Array] | None = None
    key: str = ""
    sparse: bool = False
    stored: int = 0
    scaled: bool = False
    fixed: bool = True

    @property
    def size(self) -> int:
        """Bytes in memory; 0 when a size is not known."""
        return size_bytes(self.shape, self.dtype) or 0

    @property
    def known_shape(self) -> Shape | None:
        """``None`` also when a size may change."""
        return self.shape if self.fixed else None

    @property
    def count(self) -> int:
        """Number of values; 0 when it is not known."""
        return elements(self.shape) or 0


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator; its tensors are keys of `Graph.tensors`, absent operands left out.

    name      its first output
    op        as the format has it: ``CONV_2D``, ``Conv``, ``com.microsoft:FusedConv``
    inputs    operands that are computed or given
    weight    the stored float32 matrix or kernel that it multiplies by; empty without one
    operands  all, in place
    label     the name that the file gives it, else that of its first output
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    weight: str = ""
    operands: tuple[str, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    label: str = ""

    def __post_init__(self) -> None:
        if not self.operands:
            object.__setattr__(self, "operands", self.inputs)

    def operand(self, place: int | None) -> str:
        """The operand in ``place``; empty when it has none there."""
        return self.operands[place] if place is not None and place < len(self.operands) else ""


@dataclass(frozen=True, slots=True)
class Graph:
    """The main graph of a file in the order run; branches and loops are not entered.

    ``outputs`` and ``inputs``: what it gives out and takes. ``producers``: tensor -> the operator
    that computes it; ``consumers``: -> those that read it.
    """

    operators: tuple[Operator, ...]
    outputs: tuple[str, ...]
    inputs: tuple[str, ...] = ()
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    format: str = ""
    file_bytes: int = 0
    producers: Mapping[str, Operator] = field(init=False)
    consumers: Mapping[str, Sequence[Operator]] = field(init=False)

    def __post_init__(self) -> None:
        producers = {out: operator for operator in self.operators for out in operator.outputs}
        consumers: dict[str, list[Operator]] = {}
        for operator in self.operators:
            for name in dict.fromkeys(operator.operands):
                consumers.setdefault(name, []).append(operator)
        object.__setattr__(self, "producers", producers)
        object.__setattr__(self, "consumers", consumers)

    def stored(self, name: str) -> Tensor | None:
        """The constant behind ``name``, found through what carries it, if there is one."""
        tensor = self.tensors[self._back(name, self.carries)]
        return tensor if tensor.constant is not None else None

    def constants(self, operator: Operator) -> list[Tensor]:
        """The stored tensors that ``operator`` reads, found through what carries them."""
        return [found for name in operator.operands if (found := self.stored(name)) is not None]

    def layers(self) -> Iterator[tuple[Operator, OpTraits, Tensor]]:
        """Every operator that multiplies by a stored weight, its traits, the weight."""
        for operator in self.operators:
            own = WEIGHTED.get(operator.op)
            name = operator.operand(own.weight) if own is not None else ""
            weight = self.stored(name) if name else None
            if weight is not None:
                traits = traits_of(operator.op, operator.attributes, len(weight.shape or ()))
                yield operator, traits, weight

    def carries(self, operator: Operator) -> bool:
        """Whether a constant that goes through it is still the same one.

        In addition to `CARRIERS`, a Mul of integers and their scale does.
        """
        if operator.op != "Mul" or len(operator.operands) != 2:
            return operator.op in CARRIERS
        integers, scale = (self.tensors[self.before(n, ("Cast",))] for n in operator.operands)
        is_stored = integers.constant is not None and scale.constant is not None
        return is_stored and integers.dtype in WEIGHT_INTEGERS

    def before(self, name: str, through: Collection[str]) -> str:
        """The tensor that ``name`` is made of, seen through the operators ``through``."""
        return self._back(name, lambda producer: producer.op in through)

    def _back(self, name: str, through: Callable[[Operator], bool]) -> str:
        for _ in range(FARTHEST):
            producer = self.producers.get(name)
            if producer is None or not producer.operands or not through(producer):
                break
            name = producer.operands[0]
        return name

    def feeding(
        self,
        tensors: Iterable[str],
        through: Callable[[Operator], Iterable[str]] = lambda operator: operator.inputs,
    ) -> dict[str, Operator]:
        """By name, the operators that ``tensors`` depend on, those that make them included.

        ``through``: the tensors that one of them leads on to.
        """
        found: dict[str, Operator] = {}
        left = list(tensors)
        while left:
            operator = self.producers.get(left.pop())
            if operator is not None and operator.name not in found:
                found[operator.name] = operator
                left += through(operator)
        return found

    def written(self, operator: Operator) -> int:
        """Bytes that ``operator`` writes."""
        return sum(self.tensors[name].size for name in operator.outputs)

    def fused_activations(self) -> dict[str, str]:
        """Activation -> the operator in front, where that has no other reader.

        Runtimes compute both as one, and so does TFLite's own file: neither of them alone is
        quantized, since what lies between has the range from before it was cut.
        """
        readers = Counter(name for operator in self.operators for name in operator.inputs)
        readers.update(self.outputs)
        return {
            operator.name: self.producers[operator.inputs[0]].name
            for operator in self.operators
            if operator.op in ACTIVATIONS
            and operator.inputs[0] in self.producers
            and readers[operator.inputs[0]] == 1
        }


def size_bytes(shape: Sequence[int | str] | None, dtype: str) -> int | None:
    """Bytes of a tensor; ``None`` when its shape is not fixed or its type has no size."""
    count = elements(shape)
    try:
        bits = BITS[dtype] if dtype in BITS else 8 * np.dtype(dtype).itemsize
    except TypeError:
        return None
    return None if count is None or not bits else -(-count * bits // 8)
