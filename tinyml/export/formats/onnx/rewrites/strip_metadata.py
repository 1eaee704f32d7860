"""Stack traces, source lines, class paths, doc strings, producer -> nothing.

PyTorch writes the user's paths and source text into every node. What is stripped
computes nothing; inputs, outputs and values keep their names.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import onnx_ir as ir

from tinyml.export.outcome import Outcome


def strip_metadata(model: ir.Model) -> Outcome:
    """Return the number of entries removed."""
    removed = 0
    for item in _items(model):
        removed += len(item.metadata_props) + bool(item.doc_string)
        item.metadata_props.clear()
        _clear_doc_string(item)
    removed += bool(model.producer_name) + bool(model.producer_version)
    model.producer_name = model.producer_version = None
    return Outcome(removed)


def _clear_doc_string(item: Any) -> None:
    """A tensor that wraps a protobuf message, as a function of torch's library has it, reads it."""
    if isinstance(item, ir.serde.TensorProtoTensor):
        item.raw.ClearField("doc_string")
    else:
        item.doc_string = None


def _items(model: ir.Model) -> Iterator[Any]:
    yield model
    yield model.graph
    for node in model.graph.all_nodes():
        yield node
        yield from node.outputs
    yield from model.graph.inputs
    yield from model.graph.initializers.values()
    yield from (v.const_value for v in model.graph.initializers.values() if v.const_value)
