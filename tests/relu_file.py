"""The smallest model file: y = max(x, 0), of four numbers."""

from __future__ import annotations

from pathlib import Path

from tinyml.core.spec import Signature, TensorSpec

SIGNATURE = Signature((TensorSpec("x", (4,)),), (TensorSpec("y", (4,)),))
TEXT = '<ir_version: 8, opset_import: ["": 18]> g (float[4] x) => (float[4] y) { y = Relu(x) }'


def relu_file(folder: Path) -> Path:
    """The file ``relu.onnx`` in ``folder``."""
    from onnx import parser

    path = folder / "relu.onnx"
    path.write_bytes(parser.parse_model(TEXT).SerializeToString())
    return path
