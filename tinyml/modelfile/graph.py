"""A model file as operators and values, one view for both formats; nothing is run."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tinyml.core.errors import InputError
from tinyml.core.spec import Array
from tinyml.modelfile.broken_file import reading
from tinyml.modelfile.infer_shapes import inferred
from tinyml.modelfile.limits import FARTHEST
from tinyml.modelfile.onnx_file import import_onnx, read_onnx, tensor_array
from tinyml.modelfile.sparse_storage import check_sum, dense
from tinyml.modelfile.summary import BITS, WEIGHT_INTEGERS, size_bytes
from tinyml.modelfile.tflite_file import import_schema, indices, read_tflite, text

Shape = tuple[int, ...] | None
# Through these a constant is still the same one.
CARRIERS = ("DENSIFY", "DEQUANTIZE", "DequantizeLinear", "Identity", "Cast", "Transpose")
PRODUCTS = (
    *("CONV_2D", "CONV_3D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED"),
    *("BATCH_MATMUL", "Conv", "ConvTranspose", "MatMul", "Gemm"),
)


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor.

    constant  gives its array, if it is stored, with the zeros of one that is stored sparse
    key       where it is stored, once if shared
    sparse    whether it is stored without its zeros
    """

    name: str
    shape: Shape
    dtype: str
    constant: Callable[[], Array] | None = None
    key: str = ""
    sparse: bool = False

    @property
    def size(self) -> int:
        """Bytes; 0 when a size is not fixed."""
        return size_bytes(self.shape, self.dtype) or 0


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator; inputs and outputs are keys of `Graph.tensors`, absent ones left out."""

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Graph:
    """The main graph of a file; branches and loops are not entered.

    ``producers``: tensor -> the operator that computes it; ``consumers``: -> those that read it.
    """

    format: str
    file_bytes: int
    operators: tuple[Operator, ...]
    tensors: Mapping[str, Tensor]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    producers: Mapping[str, Operator] = field(init=False)
    consumers: Mapping[str, Sequence[Operator]] = field(init=False)

    def __post_init__(self) -> None:
        producers = {out: operator for operator in self.operators for out in operator.outputs}
        consumers: dict[str, list[Operator]] = {}
        for operator in self.operators:
            for name in dict.fromkeys(operator.inputs):
                consumers.setdefault(name, []).append(operator)
        object.__setattr__(self, "producers", producers)
        object.__setattr__(self, "consumers", consumers)

    def constants(self, operator: Operator) -> list[Tensor]:
        """The stored values that ``operator`` reads, found through what carries them."""
        found = []
        for name in operator.inputs:
            value = self.tensors[self._back(name, self.carries)]
            if value.constant is not None:
                found.append(value)
        return found

    def carries(self, operator: Operator) -> bool:
        """Whether a constant that goes through it is still the same one.

        Besides `CARRIERS` a Mul does, of integers and their scale.
        """
        if operator.op != "Mul" or len(operator.inputs) != 2:
            return operator.op in CARRIERS
        integers, scale = (self.tensors[self.before(name, ("Cast",))] for name in operator.inputs)
        stored = integers.constant is not None and scale.constant is not None
        return stored and integers.dtype in WEIGHT_INTEGERS

    def before(self, name: str, through: Collection[str]) -> str:
        """The value that ``name`` is made of, seen through the operators ``through``."""
        return self._back(name, lambda maker: maker.op in through)

    def _back(self, name: str, through: Callable[[Operator], bool]) -> str:
        for _ in range(FARTHEST):  # a file may say that a value is made of itself
            maker = self.producers.get(name)
            if maker is None or not maker.inputs or not through(maker):
                break
            name = maker.inputs[0]
        return name

    def written(self, operator: Operator) -> int:
        """Bytes that ``operator`` writes."""
        return sum(self.tensors[name].size for name in operator.outputs)


def read_graph(path: Path) -> Graph:
    """By the name's ending; `InputError` when it is no whole model, or of another format."""
    readers = {".onnx": _read_onnx, ".tflite": _read_tflite}
    if path.suffix not in readers:
        raise InputError(f"{path} ends in none of {', '.join(readers)}")
    with reading(path, path.suffix.removeprefix(".")):
        return readers[path.suffix](path)


def _read_onnx(path: Path) -> Graph:
    onnx = import_onnx()
    read_onnx(path)
    graph = inferred(path).graph
    kinds = {kind: name.lower() for name, kind in onnx.TensorProto.DataType.items()}
    names = {"float": "float32", "double": "float64"}

    def dtype(kind: int) -> str:
        name = str(kinds.get(kind, "unknown"))
        return names.get(name, name)

    def stored(name: str, tensor: Any) -> Tensor:
        shape, kind = tuple(tensor.dims), dtype(tensor.data_type)
        return Tensor(name, shape, kind, partial(tensor_array, path, tensor), name)

    values: dict[str, Tensor] = {}
    for value in (*graph.input, *graph.value_info, *graph.output):
        tensor = value.type.tensor_type
        values[value.name] = Tensor(value.name, _onnx_shape(tensor), dtype(tensor.elem_type))
    values |= {tensor.name: stored(tensor.name, tensor) for tensor in graph.initializer}
    operators = []
    for node in graph.node:
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        if node.op_type == "Constant" and "value" in attributes:
            values[node.output[0]] = stored(node.output[0], attributes["value"])
            continue
        for name in (*node.input, *node.output):
            values.setdefault(name, Tensor(name, None, "unknown"))
        inputs = tuple(name for name in node.input if name)
        outputs = tuple(name for name in node.output if name)
        label = node.name or (outputs[0] if outputs else "")
        operators.append(Operator(label, str(node.op_type), inputs, outputs, attributes))
    given = tuple(v.name for v in graph.input if values[v.name].constant is None)
    ends = tuple(v.name for v in graph.output)
    return Graph("onnx", path.stat().st_size, tuple(operators), values, given, ends)


def _onnx_shape(tensor: Any) -> Shape:
    """A free first size, the batch, counts as 1."""
    if not tensor.HasField("shape"):
        return None
    sizes = [int(s.dim_value) if s.HasField("dim_value") else None for s in tensor.shape.dim]
    if sizes and sizes[0] is None:
        sizes[0] = 1
    fixed = tuple(size for size in sizes if size is not None)
    return fixed if len(fixed) == len(sizes) else None


def _read_tflite(path: Path) -> Graph:
    model, schema = read_tflite(path), import_schema()
    check_sum(path, model)
    with reading(path):
        return _tflite_graph(path, model, schema)


def _tflite_graph(path: Path, model: Any, schema: Any) -> Graph:
    ops = {n: name for name, n in vars(schema.BuiltinOperator).items() if isinstance(n, int)}
    kinds = {n: name.lower() for name, n in vars(schema.TensorType).items() if isinstance(n, int)}
    graph = model.subgraphs[0]
    values = {
        str(i): _tflite_value(path, model, tensor, kinds.get(tensor.type, "unknown"))
        for i, tensor in enumerate(graph.tensors or ())
    }
    operators = []
    for operator in graph.operators or ():
        code = model.operatorCodes[operator.opcodeIndex]
        op = ops.get(max(code.builtinCode, code.deprecatedBuiltinCode), "UNKNOWN")
        outputs = tuple(str(i) for i in indices(operator.outputs))
        inputs = tuple(str(i) for i in indices(operator.inputs) if i >= 0)
        label = values[outputs[0]].name if outputs else ""
        name = text(code.customCode) if op == "CUSTOM" else op
        options = vars(operator.builtinOptions) if operator.builtinOptions else {}
        operators.append(Operator(label, name, inputs, outputs, options))
    return Graph(
        format="tflite",
        file_bytes=path.stat().st_size,
        operators=tuple(operators),
        tensors=values,
        inputs=tuple(str(i) for i in indices(graph.inputs)),
        outputs=tuple(str(i) for i in indices(graph.outputs)),
    )


def _tflite_value(path: Path, model: Any, tensor: Any, dtype: str) -> Tensor:
    data = model.buffers[tensor.buffer].data
    shape = tuple(indices(tensor.shape))
    name, key = text(tensor.name), str(int(tensor.buffer))
    if tensor.sparsity is not None:
        return Tensor(name, shape, dtype, partial(dense, path, model, tensor), key, sparse=True)
    if data is None or len(data) == 0:
        return Tensor(name, shape, dtype)

    def array() -> Array:
        # Packed types (int4) and strings stay the bytes that they are.
        plain = dtype not in BITS and dtype not in ("string", "resource", "variant")
        with reading(path):
            raw = np.frombuffer(bytes(data), np.dtype(dtype) if plain else np.uint8)
            return raw.reshape(shape) if plain else raw

    return Tensor(name, shape, dtype, array, key)
