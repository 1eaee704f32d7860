"""A TFLite file as objects, and back: the same objects give the same bytes.

Constants lie on multiples of 16 bytes, as the schema of TFLite demands and Python's
generated packer does not see to: vector instructions of some boards trap otherwise.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyml.core.spec import Array

IDENTIFIER = b"TFL3"
ALIGNMENT = 16


def unpack(data: bytes) -> Any:
    """The file's ``schema.ModelT``; buffers that lie behind the flatbuffer are taken in."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
    for buffer in model.buffers:
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
    """Name of an operator code, ``CUSTOM:name`` for one that is not built in."""
    from ai_edge_litert import schema_py_generated as schema

    number = max(code.builtinCode, code.deprecatedBuiltinCode)
    if number == schema.BuiltinOperator.CUSTOM:
        return f"CUSTOM:{text(code.customCode)}"
    names = {value: name for name, value in vars(schema.BuiltinOperator).items()}
    return str(names[number])


def text(name: Any) -> str:
    """A name, which the generated reader returns as bytes."""
    return name.decode() if isinstance(name, bytes) else str(name)
