"""What a model file holds, in one vocabulary for every format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tinyml.modelfile.broken_file import reading
from tinyml.modelfile.contents import FileContents, TensorSummary
from tinyml.modelfile.graph import (
    DEQUANTIZE,
    WEIGHT_INTEGERS,
    Graph,
    Operator,
    Tensor,
    size_bytes,
)
from tinyml.modelfile.ops import PRODUCTS
from tinyml.modelfile.read import read_contents, read_graph

QUANTIZE = ("QuantizeLinear", "com.microsoft:QuantizeLinear")


@dataclass(frozen=True, slots=True)
class LayerSummary:
    """An operator that has parameters or multiplies and accumulates.

    weight      dtype of its largest constant as stored; empty without one
    activation  dtype of what flows in, as stored: the integer where it is quantized
    parameters  elements of its constants; one that layers share counts in each
    macs        multiply-accumulates of one call; ``None`` when a shape is not known
    module      the user's submodule that it computes; empty where that is not known
    """

    name: str
    op: str
    weight: str
    activation: str
    parameters: int
    macs: int | None
    module: str = ""

    @property
    def in_float(self) -> bool:
        """Whether it multiplies floats: its weight says it, else what flows in."""
        return "float" in (self.weight or self.activation)


@dataclass(frozen=True, slots=True)
class SignatureSummary:
    """One of several functions that a .tflite offers; ``parameters`` and ``macs`` as of a file.

    Signatures may share weights: their parameters may add up to more than the file's.
    """

    name: str
    inputs: tuple[TensorSummary, ...]
    outputs: tuple[TensorSummary, ...]
    parameters: int
    macs: int | None


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
    signatures  of a .tflite that has several; ``inputs`` and ``outputs`` are those of the first
    """

    format: str
    inputs: tuple[TensorSummary, ...]
    outputs: tuple[TensorSummary, ...]
    ops: Mapping[str, int]
    layers: tuple[LayerSummary, ...]
    parameters: int
    weight_bytes: int
    largest_activation_bytes: int | None
    versions: Mapping[str, int]
    custom_ops: tuple[str, ...]
    signatures: tuple[SignatureSummary, ...] = ()

    @property
    def macs(self) -> int | None:
        """Of convolutions and matrix products, one call; ``None`` when one is not known."""
        return _sum_of_macs(self.layers)

    @property
    def float_macs(self) -> int | None:
        """Of `macs`, those of layers `LayerSummary.in_float`; ``None`` where ``macs`` is."""
        if self.macs is None:
            return None
        return sum(layer.macs or 0 for layer in self.layers if layer.in_float)


def summarize(path: Path) -> Summary:
    """Of the model file ``path``, whose shapes are inferred and nothing is run.

    A free first size of an input (the batch) counts as 1 in MACs and activations. Raises
    `InputError` when it is not a whole .onnx or .tflite, `MissingExtraError` without the package
    that reads its format.
    """
    found = read_contents(path)
    with reading(path):
        return _summary(found)


def _summary(found: FileContents) -> Summary:
    every = _layers_of(found.graphs)
    weights = _weights_of(found.graphs)
    return Summary(
        format=found.format,
        inputs=found.inputs,
        outputs=found.outputs,
        ops=_counted(found.ops),
        layers=tuple(layer for layer in every if layer.parameters or layer.macs != 0),
        parameters=sum(weight.count for weight in weights.values()),
        weight_bytes=sum(weight.stored for weight in weights.values()),
        largest_activation_bytes=_largest_activation(found.graphs),
        versions=found.versions,
        custom_ops=found.custom,
        signatures=_signatures(found) if len(found.signatures) > 1 else (),
    )


def _signatures(found: FileContents) -> tuple[SignatureSummary, ...]:
    return tuple(
        SignatureSummary(
            own.name,
            own.inputs,
            own.outputs,
            sum(weight.count for weight in _weights_of(own.graphs).values()),
            _sum_of_macs(_layers_of(own.graphs)),
        )
        for own in found.signatures
    )


def _layers_of(graphs: Iterable[Graph]) -> list[LayerSummary]:
    return [layer_of(graph, own) for graph in graphs for own in graph.operators]


def _sum_of_macs(layers: Sequence[LayerSummary]) -> int | None:
    known = [layer.macs for layer in layers if layer.macs is not None]
    return sum(known) if len(known) == len(layers) else None


def _weights_of(graphs: Iterable[Graph]) -> dict[str, Tensor]:
    """Constants that are weights, each once, by where they are stored."""
    return {own.key: own for graph in graphs for own in _weights_in(graph)}


def read_operators(path: Path) -> tuple[LayerSummary, ...]:
    """Every operator of the main graph in its order, those without parameters too.

    Raises as `summarize`.
    """
    graph = read_graph(path)
    with reading(path):
        return tuple(layer_of(graph, operator) for operator in graph.operators)


def layer_of(graph: Graph, operator: Operator) -> LayerSummary:
    """What ``operator`` multiplies, and how much."""
    weights = _weights(graph, operator)
    largest = max(weights, key=lambda own: own.count, default=None)
    flowing = [name for name in operator.operands if graph.stored(name) is None]
    return LayerSummary(
        name=operator.label,
        op=operator.op,
        weight=largest.dtype if largest is not None else "",
        activation=_dtype(graph, flowing[0]) if flowing else "",
        parameters=sum(own.count for own in weights),
        macs=macs(graph, operator),
    )


def macs(graph: Graph, operator: Operator) -> int | None:
    """Multiply-accumulates of one call; ``None`` when a shape is not known."""
    traits = PRODUCTS.get(operator.op)
    if traits is None:
        return 0
    shapes = [graph.tensors[name].known_shape for name in operator.operands]
    output = graph.tensors[operator.outputs[0]].known_shape if operator.outputs else None
    return traits.macs(operator.attributes, shapes, output)


def _weights(graph: Graph, operator: Operator) -> list[Tensor]:
    """The constants that are weights of ``operator``, found through what carries them."""
    if graph.carries(operator) or operator.op in QUANTIZE:
        return []
    found = {}
    for name in operator.operands:
        own = graph.stored(name)
        if own is not None and _is_weight(graph, operator, own):
            found[own.name] = own
    return list(found.values())


def _is_weight(graph: Graph, operator: Operator, tensor: Tensor) -> bool:
    """A float, or an integer that a scale belongs to."""
    if "float" in tensor.dtype or tensor.scaled or graph.format == "tflite":
        return "float" in tensor.dtype or tensor.scaled
    is_scaled = operator.op in PRODUCTS or tensor.name not in operator.operands
    return is_scaled and tensor.dtype in (*WEIGHT_INTEGERS, "int32")


def _weights_in(graph: Graph) -> Iterator[Tensor]:
    for operator in graph.operators:
        yield from _weights(graph, operator)


def _dtype(graph: Graph, name: str) -> str:
    """dtype of a tensor, seen through the operator that dequantizes it."""
    producer = graph.producers.get(name)
    if producer is not None and producer.op in DEQUANTIZE:
        name = producer.operands[0]
    return graph.tensors[name].dtype


def _largest_activation(graphs: Iterable[Graph]) -> int | None:
    sizes = [
        size_bytes(own.known_shape, own.dtype)
        for graph in graphs
        for name, own in graph.tensors.items()
        if own.dtype != "unknown" and graph.stored(name) is None
    ]
    known = [size for size in sizes if size is not None]
    return max(known) if known and len(known) == len(sizes) else None


def _counted(ops: Iterable[str]) -> dict[str, int]:
    """Operators by name, the most frequent first, then by name."""
    return dict(sorted(Counter(ops).items(), key=lambda item: (-item[1], item[0])))
