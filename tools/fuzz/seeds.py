"""Small files to break: every one is made here or in `own_files`, and whole."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import own_files

from tinyml.export.formats.tflite.rewrites.store_sparse import store_sparse
from tinyml.modelfile.tflite_file import import_schema, read_tflite, write_tflite

DATA = "weights.bin"
HEADER = '<ir_version: 8, opset_import: ["" : 18, "mine" : 1]>\n'
ONNX = {
    "dense": """g (float[n, 1, 8] x) => (float[n, 3] p)
        <float[3, 1, 3] w = {1, 2, 3, 4, 5, 6, 7, 8, 9}, float[3] b = {1, 2, 3}, int64[1] a = {2}>
        { c = Conv<pads = [1, 0], strides = [2]>(x, w, b) r = Relu(c)
          m = ReduceMean<keepdims = 0>(r, a) p = Softmax<axis = -1>(m) }""",
    "quantized": """g (float[1, 4] x) => (float[1, 2] y)
        <int8[4, 2] w = {1, 2, 3, 4, 5, 6, 7, 8}, float s = {0.5}, uint8 z = {3}, int8 v = {0}>
        { q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z)
          e = DequantizeLinear(w, s, v) y = MatMul(d, e) }""",
    "branches": """g (float[2] x, bool c) => (float[2] y)
        { y = If(c) <then_branch = t () => (float[2] u) { u = Exp(x) },
                     else_branch = f () => (float[2] u) { u = mine.Twice(x) }> }
        <domain: "mine", opset_import: ["" : 18]> Twice (i) => (o) { o = Add(i, i) }""",
    "outside": """g (float[1, 16] x) => (float[1, 16] y)
        <float[16, 16] w = {0}> { t = Transpose<perm = [1, 0]>(w) y = MatMul(x, t) }""",
}


def make(folder: Path) -> list[Path]:
    """Write every seed; those that mutations start from."""
    models = [*_tflite(folder), *(_onnx(folder, name, text) for name, text in ONNX.items())]
    return [*models, *own_files.make(folder)]


def _onnx(folder: Path, name: str, text: str) -> Path:
    import onnx.parser

    path = folder / f"{name}.onnx"
    if name == "outside":
        model = onnx.parser.parse_model(HEADER + text.replace("= {0}", f"= {{{'0,' * 255}0}}"))
        (weight,) = model.graph.initializer
        values = np.random.default_rng(0).normal(size=256).astype(np.float32)
        (folder / DATA).write_bytes(values.tobytes())
        weight.ClearField("float_data")
        weight.data_location = weight.EXTERNAL
        for key, value in (("location", DATA), ("offset", "0"), ("length", "1024")):
            weight.external_data.add(key=key, value=value)
    else:
        model = onnx.parser.parse_model(HEADER + text)
    path.write_bytes(model.SerializeToString())
    return path


def _tflite(folder: Path) -> list[Path]:
    dense, sparse = folder / "dense.tflite", folder / "sparse.tflite"
    write_tflite(dense, _network())
    pruned = _network()
    assert store_sparse(pruned).count == 1
    write_tflite(sparse, pruned)
    behind, quantized = folder / "behind.tflite", folder / "quantized.tflite"
    behind.write_bytes(_with_data_behind(dense))
    write_tflite(quantized, _quantized())
    return [dense, sparse, behind, quantized]


def _network() -> Any:
    """x -> 1x1 convolution by a weight of mostly zeros -> reshape -> matrix -> softmax."""
    weight = np.zeros((32, 1, 1, 64), np.float32)
    weight[::2, 0, 0, ::16] = 1.5
    arrays = {"w": weight, "b": np.ones(32, np.float32), "shape": np.array([1, 32], np.int32)}
    arrays["m"] = np.random.default_rng(0).normal(size=(4, 32)).astype(np.float32)
    computed = {"x": (1, 1, 1, 64), "c": (1, 1, 1, 32), "r": (1, 32), "f": (1, 4), "y": (1, 4)}
    steps = [
        ("CONV_2D", "Conv2DOptions", ["x", "w", "b"], ["c"]),
        ("RESHAPE", "ReshapeOptions", ["c", "shape"], ["r"]),
        ("FULLY_CONNECTED", "FullyConnectedOptions", ["r", "m"], ["f"]),
        ("SOFTMAX", "SoftmaxOptions", ["f"], ["y"]),
    ]
    return _model(arrays, computed, steps)


def _quantized() -> Any:
    """The same matrix in int8, unpacked from half precision and from integers."""
    arrays = {
        "m": np.arange(16, dtype=np.int8).reshape(4, 4),
        "h": np.ones((4, 4), np.float16),
    }
    computed = {"x": (1, 4), "q": (1, 4), "d": (4, 4), "y": (1, 4)}
    steps = [
        ("FULLY_CONNECTED", "FullyConnectedOptions", ["x", "m"], ["q"]),
        ("DEQUANTIZE", "DequantizeOptions", ["h"], ["d"]),
        ("FULLY_CONNECTED", "FullyConnectedOptions", ["q", "d"], ["y"]),
    ]
    model, schema = _model(arrays, computed, steps), import_schema()
    told = schema.QuantizationParametersT()
    told.scale, told.zeroPoint = np.full(4, 0.5, np.float32), np.zeros(4, np.int64)
    model.subgraphs[0].tensors[0].quantization = told
    return model


def _model(arrays: dict[str, Any], computed: dict[str, Any], steps: Sequence[Any]) -> Any:
    schema = import_schema()
    model, graph, names = schema.ModelT(), schema.SubGraphT(), [*arrays, *computed]
    model.version, model.subgraphs, model.description = 3, [graph], "a seed"
    model.buffers, model.operatorCodes, graph.tensors = [schema.BufferT()], [], []
    for name in names:
        tensor, array = schema.TensorT(), arrays.get(name)
        tensor.name, tensor.shape = name, np.array(computed.get(name, np.shape(array)), np.int32)
        tensor.type = schema.TensorType.FLOAT32
        if array is not None:
            tensor.type = getattr(schema.TensorType, str(array.dtype).upper())
            tensor.buffer = len(model.buffers)
            model.buffers.append(schema.BufferT())
            model.buffers[-1].data = np.frombuffer(array.tobytes(), np.uint8)
        graph.tensors.append(tensor)
    graph.operators = [_operator(model, names, *step) for step in steps]
    graph.inputs, graph.outputs = [names.index("x")], [names.index("y")]
    model.signatureDefs = [_signature(graph)]
    return model


def _operator(model: Any, names: list[str], op: str, options: str, ins: Any, outs: Any) -> Any:
    schema = import_schema()
    made, code = schema.OperatorT(), schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, op)
    code.version, made.opcodeIndex = 1, len(model.operatorCodes)
    model.operatorCodes.append(code)
    made.inputs = np.array([names.index(name) for name in ins], np.int32)
    made.outputs = np.array([names.index(name) for name in outs], np.int32)
    made.builtinOptionsType = getattr(schema.BuiltinOptions, options)
    made.builtinOptions = getattr(schema, f"{options}T")()
    return made


def _signature(graph: Any) -> Any:
    schema = import_schema()
    made = schema.SignatureDefT()
    made.signatureKey, made.inputs, made.outputs = "serve", [], []
    for ends, name, index in (
        (made.inputs, "given", graph.inputs[0]),
        (made.outputs, "answer", graph.outputs[0]),
    ):
        item = schema.TensorMapT()
        item.name, item.tensorIndex = name, int(index)
        ends.append(item)
    return made


def _with_data_behind(path: Path) -> bytes:
    """The file with its buffers behind the flatbuffer, as ai-edge-quantizer writes them."""
    model, data, places = read_tflite(path), b"", []
    for buffer in model.buffers:
        if buffer.data is not None:
            # The flatbuffer's length does not depend on the numbers, only on their being there.
            buffer.offset, buffer.size = 1 << 40, len(buffer.data)
            places.append((buffer, len(data)))
            data, buffer.data = data + bytes(buffer.data), None
    made = path.with_name("behind.tmp")
    write_tflite(made, model)
    length = made.stat().st_size
    for buffer, place in places:
        buffer.offset = length + place
    write_tflite(made, model)
    whole = made.read_bytes()
    made.unlink()
    return whole + data
