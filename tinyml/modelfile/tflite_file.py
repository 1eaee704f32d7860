"""A TFLite file as the schema's objects, and back; nothing is run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tinyml.core.errors import InputError, MissingExtraError
from tinyml.core.files import write_bytes
from tinyml.modelfile.broken_file import check_file, reading
from tinyml.modelfile.limits import LARGEST_RANK, VISITED_LEAST, VISITED_PER_BYTE
from tinyml.modelfile.verify_flatbuffer import UnsoundError, unions, verify_flatbuffer

IDENTIFIER = b"TFL3"
ALIGNMENT = 16


def import_schema() -> Any:
    """The flatbuffer's generated classes, a part of LiteRT."""
    try:
        from ai_edge_litert import schema_py_generated
    except ImportError as error:
        raise MissingExtraError("ai-edge-litert", "tflite") from error
    return schema_py_generated


def read_tflite(path: Path) -> Any:
    """The ``ModelT`` in ``path``; `InputError` when the file is no whole TFLite model."""
    schema = import_schema()
    check_file(path)
    data = path.read_bytes()
    if data[4:8] != IDENTIFIER:
        raise InputError(f"{path} is not a TFLite file: it lacks the mark {IDENTIFIER.decode()}")
    with reading(path):
        verify_flatbuffer(data, unions(schema))
        model = schema.ModelT.InitFromPackedBuf(data, 0)
        _take_in(model, data)
        _check_indices(model)
    return model


def _take_in(model: Any, data: bytes) -> None:
    """Buffers that lie behind the flatbuffer, as ai-edge-quantizer writes them."""
    left = max(VISITED_LEAST, VISITED_PER_BYTE * len(data))
    for buffer in model.buffers or ():
        if buffer.data is None and buffer.offset > 1:
            left -= buffer.size
            if buffer.offset + buffer.size > len(data):
                raise UnsoundError("a buffer behind the end of the file")
            if left < 0:
                raise UnsoundError("many buffers in one place")
            buffer.data = np.frombuffer(data, np.uint8, buffer.size, buffer.offset)
        buffer.offset = buffer.size = 0


def write_tflite(path: Path, model: Any) -> None:
    """Write ``model``, its constants on multiples of 16 bytes as the schema demands."""
    import flatbuffers

    class Aligned(flatbuffers.Builder):  # type: ignore[misc]
        def CreateNumpyVector(self, array: Any) -> Any:  # noqa: N802
            """As in the base class, which aligns to the size of an element only."""
            if array.dtype != np.uint8:
                return super().CreateNumpyVector(array)
            self.StartVector(1, array.size, ALIGNMENT)
            self.head -= array.size
            self.Bytes[self.head : self.head + array.size] = array.tobytes()
            self.vectorNumElems = array.size
            return self.EndVector()

    builder = Aligned(1024)
    builder.Finish(model.Pack(builder), IDENTIFIER)
    write_bytes(path, bytes(builder.Output()))


def text(name: Any) -> str:
    """A name, which the reader hands out as bytes."""
    return name.decode(errors="replace") if isinstance(name, bytes) else str(name or "")


def indices(vector: Any) -> list[int]:
    """A vector of tensor indices; an optional input that is absent is -1."""
    return [] if vector is None else [int(index) for index in vector]


def _check_indices(model: Any) -> None:
    if not model.subgraphs or not model.buffers:
        raise UnsoundError("no subgraph or no buffer")
    for graph in model.subgraphs:
        tensors = len(graph.tensors or ())
        used = indices(graph.inputs) + indices(graph.outputs)
        made: list[int] = []
        for operator in graph.operators or ():
            used += indices(operator.inputs)
            made += indices(operator.outputs)
            _check(operator.opcodeIndex, model.operatorCodes, "an operator's code")
        if any(not -1 <= index < tensors for index in used):
            raise UnsoundError("a tensor index outside of the table")
        if any(not 0 <= index < tensors for index in made):
            raise UnsoundError("an operator's output outside of the table")
        for tensor in graph.tensors or ():
            _check(tensor.buffer, model.buffers, "a tensor's buffer")
            if max(len(indices(v)) for v in (tensor.shape, tensor.shapeSignature)) > LARGEST_RANK:
                raise UnsoundError(f"a tensor of more than {LARGEST_RANK} dimensions")
    for signature in model.signatureDefs or ():
        _check(signature.subgraphIndex, model.subgraphs, "a signature's subgraph")
        tensors = model.subgraphs[signature.subgraphIndex].tensors
        for item in (*(signature.inputs or ()), *(signature.outputs or ())):
            _check(int(item.tensorIndex), tensors, "a signature's tensor")


def _check(index: int, table: Any, what: str) -> None:
    if not 0 <= index < len(table or ()):
        raise UnsoundError(f"{what} outside of the table")
