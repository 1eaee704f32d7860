"""A model file by its name's ending, as the data that both formats have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tinyml.modelfile.broken_file import unknown_format
from tinyml.modelfile.graph import Graph
from tinyml.modelfile.ops import Shape


@dataclass(frozen=True, slots=True)
class TensorSummary:
    """An input or output; a size that is not fixed is its name or ``?``."""

    name: str
    shape: Shape
    dtype: str


@dataclass(frozen=True, slots=True)
class FileContents:
    """What a file holds.

    graphs    the main one; of a .tflite also those of its branches and loops, which an .onnx
              file has in the first one
    ops       every operator by name
    versions  operator -> its version (TFLite); operator set -> its version (ONNX)
    custom    what no standard runtime has: Flex, custom, foreign domains
    """

    format: str
    graphs: tuple[Graph, ...]
    inputs: tuple[TensorSummary, ...]
    outputs: tuple[TensorSummary, ...]
    ops: tuple[str, ...]
    versions: Mapping[str, int]
    custom: tuple[str, ...]


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
