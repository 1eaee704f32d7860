"""Adding and dropping stored tensors of an ONNX file's protobuf."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from tinyml.core.spec import Array
from tinyml.modelfile.onnx_file import import_onnx


def add_initializer(model: Any, name: str, values: Array) -> str:
    """Store ``values`` as ``name``, which is returned."""
    model.graph.initializer.append(import_onnx().numpy_helper.from_array(values, name))
    return name


def drop_unread(model: Any, names: Collection[str]) -> None:
    """Drop the initializers ``names`` that no node reads and the graph does not output."""
    read = {name for node in model.graph.node for name in node.input}
    read |= {value.name for value in model.graph.output}
    gone = set(names) - read
    kept = [tensor for tensor in model.graph.initializer if tensor.name not in gone]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
