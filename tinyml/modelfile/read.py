"""A third-party model file, read as what its name ends in: the one place that asks for the ending.

Who knows the format, as an export does, calls that format's own functions. Of a file that a user
gives, the ending is all that is known before its bytes are read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tinyml.modelfile.broken_file import unknown_format
from tinyml.modelfile.contents import FileContents
from tinyml.modelfile.graph import Graph
from tinyml.modelfile.onnx_cut import cut_onnx
from tinyml.modelfile.onnx_graph import onnx_contents, read_onnx_graph
from tinyml.modelfile.tflite_cut import cut_tflite
from tinyml.modelfile.tflite_graph import read_tflite_graph, tflite_contents


@dataclass(frozen=True, slots=True)
class _Reader:
    """What can be done with files of one format."""

    contents: Callable[[Path], FileContents]
    graph: Callable[[Path, bool], Graph]
    cut: Callable[[Path, str, Path], tuple[str, ...]]


READERS = {
    ".onnx": _Reader(
        onnx_contents, lambda p, infer: read_onnx_graph(p, infer_shapes=infer), cut_onnx
    ),
    ".tflite": _Reader(tflite_contents, lambda p, _: read_tflite_graph(p), cut_tflite),
}


def read_contents(path: Path) -> FileContents:
    """Everything; `InputError` when it is not a whole model, or of another format.

    Raises `MissingExtraError` without the package that reads the format.
    """
    return _reader(path).contents(path)


def read_graph(path: Path, *, infer_shapes: bool = True) -> Graph:
    """The main graph; raises as `read_contents`.

    Without ``infer_shapes``, an .onnx file's tensors have those shapes alone that it stores.
    """
    return _reader(path).graph(path, infer_shapes)


def cut_file(path: Path, tensor: str, out: Path) -> tuple[str, ...]:
    """Write to ``out`` what of the file computes ``tensor``; the names of the inputs it takes."""
    return _reader(path).cut(path, tensor, out)


def _reader(path: Path) -> _Reader:
    if path.suffix not in READERS:
        raise unknown_format(path)
    return READERS[path.suffix]
