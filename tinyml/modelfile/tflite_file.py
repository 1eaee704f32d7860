"""A TFLite file as the schema's objects, and back: the same objects give the same bytes.

Constants lie on multiples of 16 bytes, as the schema of TFLite demands and Python's
generated packer does not see to: vector instructions of some boards trap otherwise.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from tinyml.core.errors import InputError, MissingExtraError
from tinyml.core.files import write_bytes
from tinyml.core.spec import Array
from tinyml.modelfile.broken_file import BrokenFileError, check_file, reading

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
    """The ``ModelT`` in ``path``; `InputError` when the file is not a whole TFLite model."""
    import_schema()
    check_file(path)
    data = path.read_bytes()
    if data[4:8] != IDENTIFIER:
        raise InputError(f"{path} is not a TFLite file: it lacks the mark {IDENTIFIER.decode()}")
    with reading(path):
        model = unpack(data)
        _check_indices(model)
    return model


def write_tflite(path: Path, model: Any) -> None:
    """Write ``model``."""
    write_bytes(path, pack(model))


def unpack(data: bytes) -> Any:
    """The file's ``schema.ModelT``.

    Buffers that lie behind the flatbuffer, as ai-edge-quantizer writes them, are taken in.
    """
    model = import_schema().ModelT.InitFromPackedBuf(data, 0)
    for buffer in model.buffers or ():
        if buffer.data is None and buffer.offset > 1:
            buffer.data = np.frombuffer(data, np.uint8, buffer.size, buffer.offset)
        buffer.offset = buffer.size = 0
    return model


def pack(model: Any) -> bytes:
    """The bytes of ``model``."""
    from flatbuffers import Builder

    class Aligned(Builder):  # type: ignore[misc]
        def CreateNumpyVector(self, x: Array) -> int:  # noqa: N802
            if x.dtype == np.uint8:
                self.Prep(ALIGNMENT, x.size)
            return int(super().CreateNumpyVector(x))

    builder = Aligned(1 << 16)
    builder.Finish(model.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


def array(model: Any, tensor: Any, dtype: type[np.generic]) -> Array:
    """A constant's values, [the tensor's shape], ``dtype`` being what the file says of it."""
    data = np.asarray(model.buffers[tensor.buffer].data, np.uint8)
    return data.view(dtype).reshape([int(size) for size in tensor.shape])


def operator_name(code: Any) -> str:
    """Name of an operator code.

    A Flex operator keeps TensorFlow's name; another custom one is ``CUSTOM:name``.
    """
    # Files from before operator 127 existed have the code in the old byte only.
    name = _names("BuiltinOperator").get(max(code.builtinCode, code.deprecatedBuiltinCode))
    if name != "CUSTOM":
        return name or "UNKNOWN"
    custom = text(code.customCode)
    return custom if custom.startswith("Flex") else f"CUSTOM:{custom}"


def foreign(names: Iterable[str]) -> tuple[str, ...]:
    """Those of `operator_name`'s names that TFLite's own runtime does not have, sorted."""
    return tuple(sorted({name for name in names if name.startswith(("Flex", "CUSTOM:"))}))


def dtype_of(tensor: Any) -> str:
    """``float32`` and so on."""
    return _names("TensorType").get(int(tensor.type), "unknown").lower()


@functools.cache
def _names(enumeration: str) -> dict[int, str]:
    members = vars(getattr(import_schema(), enumeration))
    return {number: name for name, number in members.items() if isinstance(number, int)}


def text(name: Any) -> str:
    """A name, which the generated reader returns as bytes."""
    return name.decode(errors="replace") if isinstance(name, bytes) else str(name or "")


def indices(vector: Any) -> list[int]:
    """A vector of tensor indices; an optional input that is absent is -1."""
    return [] if vector is None else [int(index) for index in vector]


def _check_indices(model: Any) -> None:
    if not model.subgraphs or not model.buffers:
        raise BrokenFileError("no subgraph or no buffer")
    for graph in model.subgraphs:
        tensors = len(graph.tensors or ())
        used = indices(graph.inputs) + indices(graph.outputs)
        made: list[int] = []
        for operator in graph.operators or ():
            used += indices(operator.inputs)
            made += indices(operator.outputs)
            _check(operator.opcodeIndex, model.operatorCodes, "an operator's code")
        if any(not -1 <= index < tensors for index in used):
            raise BrokenFileError("a tensor index outside of the table")
        if any(not 0 <= index < tensors for index in made):
            raise BrokenFileError("an operator's output outside of the table")
        for tensor in graph.tensors or ():
            _check(tensor.buffer, model.buffers, "a tensor's buffer")
    for signature in model.signatureDefs or ():
        _check(signature.subgraphIndex, model.subgraphs, "a signature's subgraph")
        tensors = model.subgraphs[signature.subgraphIndex].tensors
        for item in (*(signature.inputs or ()), *(signature.outputs or ())):
            _check(int(item.tensorIndex), tensors, "a signature's tensor")


def _check(index: int, table: Any, what: str) -> None:
    if not 0 <= index < len(table or ()):
        raise BrokenFileError(f"{what} outside of the table")
