"""Shapes of an ONNX graph by ONNX's own inference.

It is native code that takes numbers of the file as they are: one ``Split`` that declares a
billion outputs takes 15 GB and minutes. So a third-party file is read in a child process with
limits only.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from tinyml.core.errors import InputError
from tinyml.modelfile.onnx_file import import_onnx, read_onnx

PAIRS = ("QuantizeLinear", "DequantizeLinear")


def inferred(path: Path) -> Any:
    """The model in ``path`` with its functions written out and the shapes that can be known.

    A free first size of an input (the batch) is 1. Raises `InputError` for a model that is
    not valid.
    """
    model = import_onnx().ModelProto()
    found = path.stat()
    model.ParseFromString(_inferred(path, found.st_mtime_ns, found.st_size))
    return model


@functools.lru_cache(maxsize=1)
def _inferred(path: Path, _changed_ns: int, _size: int) -> bytes:
    """Kept, since the summary and the lint of a file need it one after the other."""
    made: bytes = infer(path, read_onnx(path)).SerializeToString()
    return made


def infer(path: Path, model: Any) -> Any:
    """As `inferred`, of a ``ModelProto`` that is changed."""
    onnx = import_onnx()
    _fix_batch(model)
    try:
        if model.functions:
            from onnx import inliner  # `import onnx` does not bring it

            model = inliner.inline_local_functions(model)
        return _with_shapes(model)
    except (onnx.shape_inference.InferenceError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"{path} is not a valid ONNX model: {reason}", hint="export it again"
        ) from error
    except MemoryError as error:
        raise InputError(
            f"{path}: onnx's shape inference asks for too much memory",
            hint="the file may be broken or made up: export it again",
        ) from error


def _with_shapes(model: Any) -> Any:
    """ONNX's inference; onnxruntime's own 16 bit pairs are to it as the standard's."""
    pairs = [
        node
        for node in model.graph.node
        if node.domain == "com.microsoft" and node.op_type in PAIRS
    ]
    for node in pairs:
        node.domain = ""
    own = {name for node in pairs for name in node.output if name}
    model = import_onnx().shape_inference.infer_shapes(model, data_prop=True)
    for node in model.graph.node:
        if own.intersection(node.output):
            node.domain = "com.microsoft"
    return model


def _fix_batch(model: Any) -> None:
    """A free first size of an input becomes 1; shapes that it is in are left to inference."""
    free = False
    for value in model.graph.input:
        sizes = value.type.tensor_type.shape.dim
        if sizes and not sizes[0].HasField("dim_value"):
            sizes[0].dim_value = 1
            free = True
    if free:
        del model.graph.value_info[:]
        for value in model.graph.output:
            value.type.tensor_type.ClearField("shape")
