"""Adding and dropping stored tensors of an ONNX file's protobuf."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from tinyml.core.files import write_bytes
from tinyml.core.spec import Array
from tinyml.modelfile.broken_file import reading
from tinyml.modelfile.onnx_file import import_onnx, read_onnx, refuse_outside_data


def add_initializer(model: Any, name: str, values: Array) -> str:
    """Store ``values`` as ``name``, which is returned."""
    model.graph.initializer.append(import_onnx().numpy_helper.from_array(values, name))
    return name


def name_nodes(path: Path, out: Path) -> None:
    """Write ``out``: the same file, each node without a name called by its first output."""
    with reading(path):
        model = read_onnx(path)
        refuse_outside_data(path, model)
        for node in model.graph.node:
            node.name = node.name or next(iter(node.output), "")
        write_bytes(out, model.SerializeToString())


def drop_unread(model: Any, names: Collection[str]) -> None:
    """Drop the initializers ``names`` that no node reads and the graph does not output."""
    read = {name for node in model.graph.node for name in node.input}
    read |= {value.name for value in model.graph.output}
    gone = set(names) - read
    kept = [tensor for tensor in model.graph.initializer if tensor.name not in gone]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
