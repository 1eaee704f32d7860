"""What a model file stores against what its operators read: constants, byte for byte."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tinyml.modelfile import tflite_file


def unread_bytes(model: Any) -> dict[str, int]:
    """Constant -> its bytes, of those that no operator of a ``ModelT`` or ``ModelProto`` reads."""
    return _of_onnx(model.graph) if hasattr(model, "graph") else _of_tflite(model)


def read_model(path: Path) -> Any:
    """A file as `unread_bytes` takes it."""
    if path.suffix == ".tflite":
        return tflite_file.unpack(path.read_bytes())
    import onnx

    return onnx.load(path)


def model_files(folder: Path) -> list[Path]:
    """The .tflite and .onnx files in ``folder``."""
    return [path for path in folder.iterdir() if path.suffix in (".tflite", ".onnx")]


def assert_all_is_read(folder: Path) -> None:
    """For every model file in ``folder``."""
    files = model_files(folder)
    assert files
    unread = {path.name: unread_bytes(read_model(path)) for path in files}
    assert not any(unread.values()), unread


def _of_tflite(model: Any) -> dict[str, int]:
    """Every buffer counts, whether a tensor refers to it or none does."""
    sizes = [0 if own.data is None else len(own.data) for own in model.buffers]
    names = {place: f"buffer {place}" for place in range(len(sizes))}
    read = set()
    for graph in model.subgraphs:
        operands = {int(i) for operator in graph.operators for i in operator.inputs if i >= 0}
        operands |= {int(i) for i in graph.outputs}
        for index, tensor in enumerate(graph.tensors):
            names[tensor.buffer] = tflite_file.text(tensor.name)
            if index in operands:
                read.add(tensor.buffer)
    return {names[i]: size for i, size in enumerate(sizes) if size and i not in read}


def _of_onnx(graph: Any) -> dict[str, int]:
    read = {name for node in _nodes(graph) for name in node.input}
    read |= {value.name for value in graph.output}
    return {own.name: own.ByteSize() for own in graph.initializer if own.name not in read}


def _nodes(graph: Any) -> list[Any]:
    """Those of graphs within nodes too."""
    inner = [a.g for node in graph.node for a in node.attribute if a.HasField("g")]
    return [*graph.node, *(node for own in inner for node in _nodes(own))]
