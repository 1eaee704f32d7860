"""Facts of an ONNX file, read from the protobuf alone; shapes by ONNX's own inference."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinyml.modelfile.broken_file import reading
from tinyml.modelfile.infer_shapes import inferred
from tinyml.modelfile.limits import FARTHEST
from tinyml.modelfile.onnx_file import graphs_of, import_onnx, read_onnx
from tinyml.modelfile.summary import (
    WEIGHT_INTEGERS,
    Layer,
    Shape,
    Summary,
    TensorSummary,
    counted,
    elements,
    product,
    size_bytes,
)

STANDARD = ("", "ai.onnx", "ai.onnx.ml")
# Through these a weight is still the constant at their other end.
CARRIERS = ("DequantizeLinear", "Identity", "Cast", "Transpose", "Reshape")


def _conv(node: Any, inputs: list[Shape | None], output: Shape | None) -> int | None:
    """Weights [out, in / groups, *kernel]."""
    weight = inputs[3 if node.op_type == "QLinearConv" else 1]
    return product(output, *weight[1:]) if weight else None


def _transposed(node: Any, inputs: list[Shape | None], output: Shape | None) -> int | None:
    """Weights [in, out / groups, *kernel]."""
    return product(inputs[0], *inputs[1][1:]) if inputs[1] else None


def _matmul(node: Any, inputs: list[Shape | None], output: Shape | None) -> int | None:
    """[..., rows, inner] times [..., inner, columns]."""
    return product(output, inputs[0][-1]) if inputs[0] else None


def _gemm(node: Any, inputs: list[Shape | None], output: Shape | None) -> int | None:
    """A, which may be stored transposed, times B."""
    transposed = any(a.name == "transA" and a.i for a in node.attribute)
    return product(output, inputs[0][0 if transposed else 1]) if inputs[0] else None


MACS: dict[str, Callable[[Any, list[Shape | None], Shape | None], int | None]] = {
    "Conv": _conv,
    "ConvInteger": _conv,
    "QLinearConv": _conv,
    "ConvTranspose": _transposed,
    "MatMul": _matmul,
    "MatMulInteger": _matmul,
    "QLinearMatMul": _matmul,
    "Gemm": _gemm,
}


def summarize_onnx(path: Path) -> Summary:
    """Facts of ``path``; `InputError` when it is no whole ONNX file.

    A free first size of an input (the batch) counts as 1 in MACs and activations.
    Raises `MissingExtraError` without onnx.
    """
    model = read_onnx(path)
    with reading(path, "ONNX"):
        return _facts(model, _read(inferred(path)))


def _facts(model: Any, reader: _Reader) -> Summary:
    inputs = _signature(model.graph.input, {w.name for w in model.graph.initializer})
    outputs = _signature(model.graph.output, set())
    layers = [reader.layer(node) for node in reader.nodes]
    return Summary(
        format="onnx",
        inputs=inputs,
        outputs=outputs,
        ops=counted(_op(node) for node in reader.nodes),
        layers=tuple(layer for layer in layers if layer.parameters or layer.macs != 0),
        parameters=reader.parameters(),
        weight_bytes=reader.weight_bytes(),
        largest_activation_bytes=reader.largest_activation(),
        versions={
            **{opset.domain or "ai.onnx": int(opset.version) for opset in model.opset_import},
            "ir": int(model.ir_version),
        },
        custom_ops=tuple(sorted({_op(n) for n in reader.nodes if n.domain not in STANDARD})),
    )


@dataclass(frozen=True, slots=True)
class _Reader:
    """``shapes`` and ``dtypes`` of every value; ``constants`` by name; ``makers`` of the rest."""

    nodes: tuple[Any, ...]
    shapes: dict[str, Shape]
    dtypes: dict[str, str]
    constants: dict[str, tuple[str, Shape]]
    makers: dict[str, Any]

    def layer(self, node: Any) -> Layer:
        weights = self.weights(node)
        largest = max(weights, key=lambda name: self.count(name), default=None)
        flowing = [name for name in node.input if name and self.constant(name) is None]
        count = MACS.get(node.op_type)
        shapes = [self.shapes.get(name) for name in node.input]
        output = self.shapes.get(node.output[0]) if node.output else None
        standard = node.domain in STANDARD
        return Layer(
            name=node.name or (node.output[0] if node.output else ""),
            op=_op(node),
            weight=self.constants[largest][0] if largest else "",
            activation=self.stored(flowing[0]) if flowing else "",
            parameters=sum(self.count(name) for name in weights),
            macs=count(node, shapes, output) if count and standard else 0,
        )

    def weights(self, node: Any) -> list[str]:
        """The constants that are weights of ``node``, found through what carries them."""
        if self.carries(node) or node.op_type == "QuantizeLinear":
            return []
        found = [self.constant(name) for name in node.input]
        own = frozenset(node.input)
        return [name for name in dict.fromkeys(found) if name and self.is_weight(name, node, own)]

    def constant(self, name: str) -> str | None:
        """The stored constant behind ``name``, if there is one."""
        for _ in range(FARTHEST):
            maker = self.makers.get(name)
            if name in self.constants or maker is None:
                break
            if not self.carries(maker):
                break
            name = maker.input[0]
        return name if name in self.constants else None

    def carries(self, node: Any) -> bool:
        """Whether a constant that goes through it is still the same one.

        Besides `CARRIERS` a Mul does, of integers and their scale.
        """
        if node.op_type != "Mul" or len(node.input) != 2:
            return node.op_type in CARRIERS and bool(node.input)
        cast = self.makers.get(node.input[0])
        if cast is None or cast.op_type != "Cast" or node.input[1] not in self.constants:
            return False
        return self.constants.get(cast.input[0], ("", None))[0] in WEIGHT_INTEGERS

    def is_weight(self, name: str, node: Any, inputs: Collection[str]) -> bool:
        """A float, or an integer that a scale belongs to; ``inputs`` of the node."""
        dtype = self.constants[name][0]
        scaled = node.op_type in MACS or name not in inputs
        return "float" in dtype or (scaled and dtype in (*WEIGHT_INTEGERS, "int32"))

    def stored(self, name: str) -> str:
        """dtype of a value, seen through the operator that dequantizes it."""
        maker = self.makers.get(name)
        if maker is not None and maker.op_type == "DequantizeLinear":
            name = maker.input[0]
        return self.dtypes.get(name, "unknown")

    def count(self, name: str) -> int:
        return elements(self.constants[name][1]) or 0

    def parameters(self) -> int:
        return sum(self.count(name) for name in self.all_weights())

    def weight_bytes(self) -> int:
        constants = (self.constants[name] for name in self.all_weights())
        return sum(size_bytes(shape, dtype) or 0 for dtype, shape in constants)

    def all_weights(self) -> set[str]:
        return {name for node in self.nodes for name in self.weights(node)}

    def largest_activation(self) -> int | None:
        computed = [name for node in self.nodes for name in node.output if name]
        given = [name for name in self.shapes if name not in self.makers]
        names = [name for name in (*computed, *given) if name not in self.constants]
        sizes = [
            size_bytes(self.shapes.get(name), self.dtypes[name])
            for name in names
            if self.constant(name) is None and name in self.dtypes
        ]
        known = [size for size in sizes if size is not None]
        return max(known) if known and len(known) == len(sizes) else None


def _read(model: Any) -> _Reader:
    graphs = list(graphs_of(model.graph))
    nodes = tuple(node for graph in graphs for node in graph.node)
    values = [v for g in graphs for v in (*g.input, *g.value_info, *g.output)]
    constants = {
        w.name: (_dtype(w.data_type), tuple(w.dims)) for g in graphs for w in g.initializer
    }
    for node in nodes:
        if node.op_type == "Constant" and node.domain in STANDARD:
            constants[node.output[0]] = _constant(node)
    shapes = {name: shape for name, (_, shape) in constants.items()}
    dtypes = {name: dtype for name, (dtype, _) in constants.items()}
    for value in values:
        if value.type.HasField("tensor_type"):
            dtypes[value.name] = _dtype(value.type.tensor_type.elem_type)
            if value.type.tensor_type.HasField("shape"):
                shapes[value.name] = _shape(value)
    makers = {name: node for node in nodes for name in node.output if name}
    return _Reader(nodes, shapes, dtypes, constants, makers)


def _signature(values: Any, constants: set[str]) -> tuple[TensorSummary, ...]:
    return tuple(
        TensorSummary(value.name, _shape(value), _dtype(value.type.tensor_type.elem_type))
        for value in values
        if value.name not in constants
    )


def _shape(value: Any) -> Shape:
    sizes = value.type.tensor_type.shape.dim
    return tuple(
        int(s.dim_value) if s.HasField("dim_value") else (s.dim_param or "?") for s in sizes
    )


def _constant(node: Any) -> tuple[str, Shape]:
    attribute = node.attribute[0]
    if attribute.name == "value":
        return _dtype(attribute.t.data_type), tuple(attribute.t.dims)
    kind = "float32" if "float" in attribute.name else "int64"
    counts = {"value_floats": len(attribute.floats), "value_ints": len(attribute.ints)}
    shape = (counts[attribute.name],) if attribute.name in counts else ()
    return kind, shape


def _dtype(number: int) -> str:
    names = {kind: name.lower() for name, kind in import_onnx().TensorProto.DataType.items()}
    name: str = names.get(number, "unknown")
    return {"float": "float32", "double": "float64"}.get(name, name)


def _op(node: Any) -> str:
    # A name that is no UTF-8 is handed out as bytes.
    kind = str(node.op_type)
    return kind if node.domain in STANDARD else f"{node.domain}:{kind}"
