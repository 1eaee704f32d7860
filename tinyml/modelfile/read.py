"""A model file by its name's ending: the reader of its format."""

from __future__ import annotations

from pathlib import Path

from tinyml.modelfile.broken_file import unknown_format
from tinyml.modelfile.contents import FileContents
from tinyml.modelfile.graph import Graph


def read_contents(path: Path) -> FileContents:
    """Everything; `InputError` when it is not a whole model, or of another format.

    Raises `MissingExtraError` without the package that reads the format.
    """
    if path.suffix == ".onnx":
        from tinyml.modelfile.onnx_graph import onnx_contents

        return onnx_contents(path)
    if path.suffix == ".tflite":
        from tinyml.modelfile.tflite_graph import tflite_contents

        return tflite_contents(path)
    raise unknown_format(path)


def read_graph(path: Path, *, infer_shapes: bool = True) -> Graph:
    """The main graph; raises as `read_contents`.

    Without ``infer_shapes``, an .onnx file's tensors have those shapes alone that it stores.
    """
    if path.suffix == ".onnx":
        from tinyml.modelfile.onnx_graph import read_onnx_graph

        return read_onnx_graph(path, infer_shapes=infer_shapes)
    if path.suffix == ".tflite":
        from tinyml.modelfile.tflite_graph import read_tflite_graph

        return read_tflite_graph(path)
    raise unknown_format(path)
