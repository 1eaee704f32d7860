"""Two buffers of equal bytes -> one; a buffer that no tensor uses -> none.

Buffer 0 stays: it is the empty one that every computed tensor refers to. Several
tensors may share a constant's buffer, of any types: they read the same bytes.
Refused for variables, whose buffer the runtime would write.
"""

from __future__ import annotations

from typing import Any

from tinyml.export.outcome import Outcome
from tinyml.modelfile.tflite_file import text

FIRES_IN = "small"


def share_buffers(model: Any) -> Outcome:
    """Remove buffers; tensors that are variables keep theirs."""
    tensors = [tensor for graph in model.subgraphs for tensor in graph.tensors]
    kept: list[Any] = [model.buffers[0]]
    refused: dict[str, str] = {}
    first: dict[bytes, int] = {b"": 0}
    for tensor in tensors:
        data = _bytes(model.buffers[tensor.buffer])
        if tensor.isVariable:
            kept.append(model.buffers[tensor.buffer])
            tensor.buffer = len(kept) - 1
            refused[text(tensor.name)] = "the runtime writes it"
            continue
        if data not in first:
            kept.append(model.buffers[tensor.buffer])
            first[data] = len(kept) - 1
        tensor.buffer = first[data]
    removed = len(model.buffers) - len(kept)
    model.buffers = kept
    return Outcome(removed, refused)


def _bytes(buffer: Any) -> bytes:
    return b"" if buffer.data is None else bytes(buffer.data)
