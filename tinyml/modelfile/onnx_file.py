"""An ONNX file as its protobuf; nothing is run and no file outside of its folder is opened."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tinyml.core.errors import InputError, MissingExtraError, raise_refusal
from tinyml.core.spec import Array
from tinyml.modelfile.broken_file import BrokenFileError, check_file, reading


def import_onnx() -> Any:
    """The module; `MissingExtraError` when it is not installed."""
    try:
        import onnx
    except ImportError as error:
        raise MissingExtraError("onnx", "onnx") from error
    return onnx


def read_onnx(path: Path) -> Any:
    """The ``ModelProto`` in ``path``; `InputError` when the file is not a whole ONNX model.

    Weights in a file next to it are not opened: `tensor_array` reads one.
    """
    onnx = import_onnx()
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    check_file(path)
    model = onnx.ModelProto()
    with reading(path):
        try:
            model.ParseFromString(path.read_bytes())
        except DecodeError as error:
            raise BrokenFileError("it is not a protobuf message of that kind") from error
        if not model.graph.output or not model.opset_import:
            raise BrokenFileError("it has no output or no operator set")
    return model


class MissingDataError(InputError):
    """The file next to a model that should hold its weights is not there."""


def _is_missing(path: Path, tensor: Any) -> bool:
    """Whether ``tensor`` names a file of the model's own folder that does not exist."""
    place = next((own.value for own in tensor.external_data if own.key == "location"), "")
    return Path(place).name == place != "" and not os.path.lexists(path.parent / place)


def graphs_of(graph: Any) -> Iterator[Any]:
    """``graph`` and every one within its nodes."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in [attribute.g] if attribute.HasField("g") else attribute.graphs:
                yield from graphs_of(inner)


def is_fixed(size: Any) -> bool:
    """Whether a dimension has a size; some writers put -1 for one that is free."""
    return bool(size.HasField("dim_value") and size.dim_value >= 0)


def known_shape(value: Any) -> tuple[int, ...] | None:
    """The shape that a ``ValueInfoProto`` stores; ``None`` where a size is not fixed."""
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return None
    sizes = [int(s.dim_value) if is_fixed(s) else None for s in tensor.shape.dim]
    fixed = tuple(size for size in sizes if size is not None)
    return fixed if len(fixed) == len(sizes) else None


def tensor_array(path: Path, tensor: Any) -> Array:
    """The values of a ``TensorProto`` of the model ``path``.

    Those that lie in another file are read through ``onnx.external_data_helper``, which takes
    that file from the model's own folder only: an absolute path, ``..``, a link, a pipe, or bytes
    that it does not have are refused. Raises `InputError` for these, and where the values are not
    what the tensor declares.
    """
    onnx = import_onnx()
    name = " ".join(str(tensor.name).split())[:100]
    try:
        if tensor.data_location == tensor.EXTERNAL:
            found = onnx.TensorProto()
            found.CopyFrom(tensor)
            tensor = found
            onnx.external_data_helper.load_external_data_for_tensor(tensor, str(path.parent))
    except (onnx.checker.ValidationError, ValueError, OSError) as error:
        raise_refusal(error, f"reading the weights of {path.name}")
        reason = " ".join(str(error).split())[:300]
        kind = MissingDataError if _is_missing(path, tensor) else InputError
        raise kind(
            f"{path}: the weight '{name}' lies in another file, which cannot be read: {reason}",
            hint="copy the model together with its data into one folder, or save it as one file: "
            "onnx.save(onnx.load(MODEL), ONE_FILE)",
        ) from error
    try:
        return np.asarray(onnx.numpy_helper.to_array(tensor))
    except (ValueError, TypeError, LookupError, OverflowError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: the tensor '{name}' is not whole: {reason}") from error


def refuse_outside_data(path: Path, model: Any) -> None:
    """Raise `InputError` when weights lie in another file: a copy would look them up anywhere."""
    outside = [w.name for w in model.graph.initializer if w.data_location == w.EXTERNAL]
    if outside:
        raise InputError(
            f"{path} keeps {len(outside)} of its weights in another file",
            hint="save it as one file: onnx.save(onnx.load(MODEL), ONE_FILE)",
        )
