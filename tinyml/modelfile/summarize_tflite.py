"""Facts of a TFLite file, read from the flatbuffer alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinyml.modelfile.broken_file import reading
from tinyml.modelfile.sparse_storage import index_bytes
from tinyml.modelfile.summary import (
    Layer,
    Summary,
    TensorSummary,
    counted,
    elements,
    product,
    size_bytes,
)
from tinyml.modelfile.tflite_file import import_schema, indices, read_tflite, text

Shapes = list[tuple[int | str, ...]]


def _conv(inputs: Shapes, output: tuple[int | str, ...]) -> int | None:
    """Weights [out, height, width, in / groups]."""
    return product(output, *inputs[1][1:])


def _depthwise(inputs: Shapes, output: tuple[int | str, ...]) -> int | None:
    """Weights [1, height, width, channels]."""
    return product(output, *inputs[1][1:3])


def _transposed(inputs: Shapes, output: tuple[int | str, ...]) -> int | None:
    """Inputs (output shape, weights [out, height, width, in], input)."""
    return product(inputs[2], *inputs[1][:3])


def _dense(inputs: Shapes, output: tuple[int | str, ...]) -> int | None:
    """Weights [out, in]."""
    return product(output, inputs[1][-1])


def _conv_3d(inputs: Shapes, output: tuple[int | str, ...]) -> int | None:
    """Weights [depth, height, width, in, out]."""
    return product(output, *inputs[1][:4])


# What gives a constant in another form.
UNPACKING = ("DENSIFY", "DEQUANTIZE")

MACS: dict[str, Callable[[Shapes, tuple[int | str, ...]], int | None]] = {
    "CONV_2D": _conv,
    "CONV_3D": _conv_3d,
    "DEPTHWISE_CONV_2D": _depthwise,
    "TRANSPOSE_CONV": _transposed,
    "FULLY_CONNECTED": _dense,
}


def summarize_tflite(path: Path) -> Summary:
    """Facts of ``path``; `InputError` when it is no whole TFLite file.

    Raises `MissingExtraError` without LiteRT, whose schema reads the file.
    """
    model = read_tflite(path)
    reader = _Reader(model, _names(import_schema().BuiltinOperator), _dtypes())
    with reading(path):
        return _facts(model, reader)


def read_operators(path: Path) -> tuple[Layer, ...]:
    """Every operator of the first subgraph in its order, those without parameters too.

    Raises as `summarize_tflite`.
    """
    model = read_tflite(path)
    reader = _Reader(model, _names(import_schema().BuiltinOperator), _dtypes())
    with reading(path):
        graph = model.subgraphs[0]
        unpacked = reader.unpacked(graph)
        return tuple(reader.layer(graph, operator, unpacked) for operator in graph.operators or ())


def _facts(model: Any, reader: _Reader) -> Summary:
    codes = [reader.op(code) for code in model.operatorCodes]
    operators = [(graph, op) for graph in model.subgraphs for op in graph.operators or ()]
    layers = [
        reader.layer(graph, operator, unpacked)
        for graph in model.subgraphs
        for unpacked in (reader.unpacked(graph),)
        for operator in graph.operators or ()
    ]
    inputs, outputs = reader.signature()
    versions: dict[str, int] = {}
    for name, code in zip(codes, model.operatorCodes, strict=True):
        versions[name] = max(versions.get(name, 0), int(code.version))
    return Summary(
        format="tflite",
        inputs=inputs,
        outputs=outputs,
        ops=counted(codes[operator.opcodeIndex] for _, operator in operators),
        layers=tuple(layer for layer in layers if layer.parameters or layer.macs != 0),
        parameters=sum(reader.count(tensor) for tensor in reader.weights()),
        weight_bytes=sum(reader.stored_bytes(tensor) for tensor in reader.weights()),
        largest_activation_bytes=reader.largest_activation(),
        versions=dict(sorted(versions.items())),
        custom_ops=tuple(sorted({name for name in codes if name.startswith(("Flex", "CUSTOM:"))})),
    )


@dataclass(frozen=True, slots=True)
class _Reader:
    model: Any
    op_names: dict[int, str]
    dtypes: dict[int, str]

    def op(self, code: Any) -> str:
        """Name of an operator code; a Flex operator keeps TensorFlow's name."""
        # Files from before operator 127 existed have the code in the old byte only.
        name = self.op_names.get(max(code.builtinCode, code.deprecatedBuiltinCode), "UNKNOWN")
        custom = text(code.customCode)
        if name != "CUSTOM":
            return name
        return custom if custom.startswith("Flex") else f"CUSTOM:{custom}"

    def layer(self, graph: Any, operator: Any, unpacked: Mapping[int, int]) -> Layer:
        """``unpacked``: of the graph; its constants stand for what is made of them."""
        read = [unpacked.get(i, i) for i in indices(operator.inputs) if i >= 0]
        inputs = [graph.tensors[i] for i in read]
        outputs = [graph.tensors[i] for i in indices(operator.outputs)]
        weights = [tensor for tensor in inputs if self.is_weight(tensor)]
        op = self.op(self.model.operatorCodes[operator.opcodeIndex])
        if op in UNPACKING:
            weights = []
        largest = max(weights, key=self.count, default=None)
        flowing = [tensor for tensor in inputs if not self.is_constant(tensor)]
        return Layer(
            name=text(outputs[0].name) if outputs else "",
            op=op,
            weight=self.dtype(largest) if largest is not None else "",
            activation=self.dtype(flowing[0]) if flowing else "",
            parameters=sum(self.count(tensor) for tensor in weights),
            macs=self.macs(op, operator, inputs, outputs),
        )

    def unpacked(self, graph: Any) -> dict[int, int]:
        """Tensor -> the constant (float16, sparse) that it is unpacked from, over several steps."""
        found: dict[int, int] = {}
        for operator in graph.operators or ():
            if self.op(self.model.operatorCodes[operator.opcodeIndex]) not in UNPACKING:
                continue
            (source, *_), (made, *_) = indices(operator.inputs), indices(operator.outputs)
            source = found.get(source, source)
            if self.is_constant(graph.tensors[source]):
                found[made] = source
        return found

    def macs(self, op: str, operator: Any, inputs: list[Any], outputs: list[Any]) -> int | None:
        shapes = [self.shape(tensor) for tensor in inputs]
        if op == "BATCH_MATMUL":
            transposed = bool(getattr(operator.builtinOptions, "adjX", False))
            return product(self.shape(outputs[0]), shapes[0][-2 if transposed else -1])
        if op not in MACS:
            return 0
        return MACS[op](shapes, self.shape(outputs[0]))

    def shape(self, tensor: Any) -> tuple[int | str, ...]:
        """As declared: a size that may change is ``?``, save a free batch, which counts as 1."""
        fixed = indices(tensor.shape)
        declared = indices(tensor.shapeSignature) or fixed
        free = [i for i, size in enumerate(declared) if size < 0 and i > 0]
        return tuple("?" if i in free else size for i, size in enumerate(fixed))

    def signature(self) -> tuple[tuple[TensorSummary, ...], tuple[TensorSummary, ...]]:
        graph, names = self.model.subgraphs[0], {}
        for signature in (self.model.signatureDefs or ())[:1]:
            graph = self.model.subgraphs[signature.subgraphIndex]
            for item in (*signature.inputs, *signature.outputs):
                names[int(item.tensorIndex)] = text(item.name)
        return (
            tuple(self.named(graph, i, names) for i in indices(graph.inputs)),
            tuple(self.named(graph, i, names) for i in indices(graph.outputs)),
        )

    def named(self, graph: Any, index: int, names: dict[int, str]) -> TensorSummary:
        tensor = graph.tensors[index]
        declared = indices(tensor.shapeSignature) or indices(tensor.shape)
        shape = tuple("?" if size < 0 else size for size in declared)
        return TensorSummary(names.get(index, text(tensor.name)), shape, self.dtype(tensor))

    def dtype(self, tensor: Any) -> str:
        return self.dtypes.get(tensor.type, "unknown")

    def is_constant(self, tensor: Any) -> bool:
        data = self.model.buffers[tensor.buffer].data
        return tensor.sparsity is not None or (data is not None and len(data) > 0)

    def is_weight(self, tensor: Any) -> bool:
        """A constant that is a float, or an integer with a scale."""
        scale = tensor.quantization.scale if tensor.quantization else None
        scaled = scale is not None and len(scale) > 0
        return self.is_constant(tensor) and (scaled or "float" in self.dtype(tensor))

    def count(self, tensor: Any) -> int:
        return elements(indices(tensor.shape)) or 0

    def weights(self) -> list[Any]:
        """Tensors that are weights, one for each buffer."""
        tensors = (tensor for graph in self.model.subgraphs for tensor in graph.tensors)
        once = {int(tensor.buffer): tensor for tensor in tensors if self.is_weight(tensor)}
        return list(once.values())

    def stored_bytes(self, tensor: Any) -> int:
        data = self.model.buffers[tensor.buffer].data
        return index_bytes(tensor) + (0 if data is None else len(data))

    def largest_activation(self) -> int | None:
        sizes = [
            size_bytes(self.shape(tensor), self.dtype(tensor))
            for graph in self.model.subgraphs
            for unpacked in (self.unpacked(graph),)
            for index, tensor in enumerate(graph.tensors)
            if not self.is_constant(tensor) and index not in unpacked
        ]
        return (
            None if None in sizes or not sizes else max(size for size in sizes if size is not None)
        )


def _names(enumeration: Any) -> dict[int, str]:
    return {number: name for name, number in vars(enumeration).items() if isinstance(number, int)}


def _dtypes() -> dict[int, str]:
    return {number: name.lower() for number, name in _names(import_schema().TensorType).items()}
