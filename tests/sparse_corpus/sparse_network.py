"""A small seeded network as a .tflite file, layer by layer, and a copy with sparse weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tinyml.core.spec import Array
from tinyml.export.formats.tflite.rewrites.store_sparse import store_sparse
from tinyml.modelfile import tflite_file
from tinyml.modelfile.tflite_file import import_schema

SAME, VALID = 0, 1
RELU6 = 3
NONE = 0
# Scales that keep values of the order of one behind a few layers.
SPREAD = 0.3


class SparseNetwork:
    """Names of values go in and out; every layer adds its operator to the file.

    ``zeros`` is the share of a weight's blocks of ``block`` output channels that is zero.
    """

    def __init__(self, *shape: int, dtype: str = "FLOAT32") -> None:
        self.schema = import_schema()
        self.random = np.random.default_rng(0)
        self.graph, self.model = self.schema.SubGraphT(), self.schema.ModelT()
        self.model.version, self.model.subgraphs = 3, [self.graph]
        self.model.buffers, self.model.operatorCodes = [self.schema.BufferT()], []
        self.graph.tensors, self.graph.operators = [], []
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.input = self.tensor("image", shape)

    def pad(self, x: str, rows: int = 1) -> str:
        """``rows`` zeros on each side of height and width."""
        n, h, w, c = self.shapes[x]
        sides = np.array([[0, 0], [rows, rows], [rows, rows], [0, 0]], np.int32)
        shape = (n, h + 2 * rows, w + 2 * rows, c)
        return self.add_operator("PAD", [x, self.constant("sides", sides)], shape, "PadOptions")

    def convolution(
        self,
        x: str,
        channels: int,
        kernel: int = 1,
        stride: int = 1,
        padding: int = VALID,
        zeros: float = 0.0,
        block: int = 1,
        dilation: int = 1,
        activation: int = RELU6,
    ) -> str:
        n, h, w, c = self.shapes[x]
        weight = self.sparse_weight(channels, kernel * kernel * c, zeros, block)
        weight = weight.reshape(channels, kernel, kernel, c)
        size = (kernel - 1) * dilation + 1
        shape = (n, _size(h, size, stride, padding), _size(w, size, stride, padding), channels)
        inputs = [x, self.constant("weight", weight), self.bias(channels)]
        told = {"strideH": stride, "strideW": stride, "padding": padding}
        told |= {"dilationHFactor": dilation, "dilationWFactor": dilation}
        return self.add_operator(
            "CONV_2D", inputs, shape, "Conv2DOptions", fusedActivationFunction=activation, **told
        )

    def depthwise(
        self,
        x: str,
        kernel: int = 3,
        stride: int = 1,
        padding: int = SAME,
        multiplier: int = 1,
        dilation: int = 1,
    ) -> str:
        n, h, w, c = self.shapes[x]
        weight = self.random.normal(0, SPREAD, (1, kernel, kernel, c * multiplier))
        size = (kernel - 1) * dilation + 1
        shape = (
            n,
            _size(h, size, stride, padding),
            _size(w, size, stride, padding),
            c * multiplier,
        )
        inputs = [x, self.constant("weight", weight.astype(np.float32))]
        inputs.append(self.bias(c * multiplier))
        told = {"strideH": stride, "strideW": stride, "padding": padding}
        told |= {"depthMultiplier": multiplier, "fusedActivationFunction": RELU6}
        told |= {"dilationHFactor": dilation, "dilationWFactor": dilation}
        return self.add_operator(
            "DEPTHWISE_CONV_2D", inputs, shape, "DepthwiseConv2DOptions", **told
        )

    def mean(self, x: str, *, keep: bool = False, op: str = "MEAN") -> str:
        """Over height and width; ``op`` may be SUM."""
        n, _, _, c = self.shapes[x]
        axes = self.constant("axes", np.array([1, 2], np.int32))
        shape = (n, 1, 1, c) if keep else (n, c)
        return self.add_operator(op, [x, axes], shape, "ReducerOptions", keepDims=keep)

    def fully_connected(
        self, x: str, channels: int, zeros: float = 0.0, *, keep: bool = False
    ) -> str:
        """``keep``: the number of dimensions is kept, else it becomes two."""
        *rest, columns = self.shapes[x]
        weight = self.sparse_weight(channels, columns, zeros, 1)
        inputs = [x, self.constant("weight", weight), self.bias(channels)]
        shape = (*rest, channels) if keep else (1, channels)
        return self.add_operator(
            "FULLY_CONNECTED", inputs, shape, "FullyConnectedOptions", keepNumDims=keep
        )

    def pool(self, x: str, op: str = "AVERAGE_POOL_2D", size: int = 2) -> str:
        n, h, w, c = self.shapes[x]
        told = {"strideH": size, "strideW": size, "filterHeight": size, "filterWidth": size}
        shape = (n, h // size, w // size, c)
        return self.add_operator(op, [x], shape, "Pool2DOptions", padding=VALID, **told)

    def prelu(self, x: str) -> str:
        slope = np.full((1, 1, self.shapes[x][-1]), 0.25, np.float32)
        return self.add_operator("PRELU", [x, self.constant("slope", slope)], self.shapes[x])

    def unary(self, op: str, x: str, options: str = "", **told: Any) -> str:
        return self.add_operator(op, [x], self.shapes[x], options, **told)

    def binary(self, op: str, x: str, y: str) -> str:
        options = {"ADD": "AddOptions", "MUL": "MulOptions", "SUB": "SubOptions"}[op]
        return self.add_operator(op, [x, y], self.shapes[x], options)

    def concatenate(self, x: str, y: str) -> str:
        *rest, c = self.shapes[x]
        shape = (*rest, c + self.shapes[y][-1])
        return self.add_operator("CONCATENATION", [x, y], shape, "ConcatenationOptions", axis=3)

    def resize(self, x: str, factor: int = 2) -> str:
        n, h, w, c = self.shapes[x]
        size = np.array([h * factor, w * factor], np.int32)
        shape = (n, h * factor, w * factor, c)
        inputs = [x, self.constant("size", size)]
        return self.add_operator("RESIZE_BILINEAR", inputs, shape, "ResizeBilinearOptions")

    def depth_to_space(self, x: str, block: int = 2) -> str:
        n, h, w, c = self.shapes[x]
        shape = (n, h * block, w * block, c // block**2)
        return self.add_operator(
            "DEPTH_TO_SPACE", [x], shape, "DepthToSpaceOptions", blockSize=block
        )

    def transpose(self, x: str, *order: int) -> str:
        shape = tuple(self.shapes[x][axis] for axis in order)
        axes = self.constant("order", np.array(order, np.int32))
        return self.add_operator("TRANSPOSE", [x, axes], shape, "TransposeOptions")

    def flat(self, x: str) -> str:
        """Without height and width of one."""
        shape = (1, self.shapes[x][-1])
        inputs = [x, self.constant("shape", np.array(shape, np.int32))]
        return self.add_operator("RESHAPE", inputs, shape, "ReshapeOptions", newShape=list(shape))

    def channel_vector(self, x: str) -> str:
        """A constant of one value a channel, of four dimensions."""
        values = self.random.normal(0, SPREAD, (1, 1, 1, self.shapes[x][-1]))
        return self.constant("vector", values.astype(np.float32))

    def sparse_weight(self, rows: int, columns: int, zeros: float, block: int) -> Array:
        """[rows, columns]; exactly that share of its blocks is zero, spread evenly at random."""
        made = self.random.normal(0, SPREAD, (rows, columns)).astype(np.float32)
        count = rows // block * columns
        flat = np.zeros(count, bool)
        flat[self.random.permutation(count)[: round(zeros * count)]] = True
        mask = flat.reshape(rows // block, columns).repeat(block, 0)
        return np.where(mask, np.float32(0), made)

    def bias(self, channels: int) -> str:
        return self.constant("bias", np.full(channels, 0.05, np.float32))

    def constant(self, name: str, values: Array) -> str:
        buffer = self.schema.BufferT()
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        return self.tensor(name, values.shape, str(values.dtype), len(self.model.buffers) - 1)

    def tensor(
        self, name: str, shape: tuple[int, ...], dtype: str = "float32", buffer: int = 0
    ) -> str:
        tensor = self.schema.TensorT()
        tensor.name = f"{name}_{len(self.graph.tensors)}"
        tensor.shape, tensor.buffer = np.array(shape, np.int32), buffer
        tensor.type = getattr(self.schema.TensorType, dtype.upper())
        self.graph.tensors.append(tensor)
        self.shapes[tensor.name] = shape
        return str(tensor.name)

    def add_operator(
        self, op: str, inputs: list[str], shape: tuple[int, ...], options: str = "", **told: Any
    ) -> str:
        names = [tensor.name for tensor in self.graph.tensors]
        out = self.tensor(op.lower(), shape)
        operator = self.schema.OperatorT()
        operator.opcodeIndex = self.code(op)
        operator.inputs = np.array([names.index(name) for name in inputs], np.int32)
        operator.outputs = np.array([len(names)], np.int32)
        if options:
            made = getattr(self.schema, f"{options}T")()
            for name, value in told.items():
                setattr(made, name, value)
            operator.builtinOptions = made
            operator.builtinOptionsType = getattr(self.schema.BuiltinOptions, options)
        self.graph.operators.append(operator)
        return out

    def code(self, op: str) -> int:
        number = getattr(self.schema.BuiltinOperator, op)
        for place, known in enumerate(self.model.operatorCodes):
            if known.builtinCode == number:
                return place
        code = self.schema.OperatorCodeT()
        code.builtinCode, code.deprecatedBuiltinCode = number, min(number, 127)
        code.version = 2 if op in ("RESIZE_BILINEAR",) else 1
        self.model.operatorCodes.append(code)
        return len(self.model.operatorCodes) - 1

    def write(self, folder: Path, name: str, *ends: str) -> tuple[Path, Path]:
        """(sparse, dense): the file and its densified copy."""
        names = [tensor.name for tensor in self.graph.tensors]
        self.graph.inputs = np.array([names.index(self.input)], np.int32)
        self.graph.outputs = np.array([names.index(end) for end in ends], np.int32)
        dense = folder / f"{name}-dense.tflite"
        dense.write_bytes(tflite_file.pack(self.model))
        model = tflite_file.unpack(dense.read_bytes())
        store_sparse(model)
        sparse = folder / f"{name}-sparse.tflite"
        sparse.write_bytes(tflite_file.pack(model))
        return sparse, dense


def _size(size: int, kernel: int, stride: int, padding: int) -> int:
    return -(-size // stride) if padding == SAME else (size - kernel) // stride + 1
