"""An ONNX file as its protobuf; nothing is run and no other file is opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tinyml.errors import InputError, MissingExtraError
from tinyml.runtimes.base import check_file


def import_onnx() -> Any:
    """The module; `MissingExtraError` when it is not installed."""
    try:
        import onnx
    except ImportError as error:
        raise MissingExtraError("onnx", "onnx") from error
    return onnx


def read_onnx(path: Path) -> Any:
    """The ``ModelProto`` in ``path``; `InputError` when the file is no whole ONNX model."""
    onnx = import_onnx()
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    check_file(path)
    model = onnx.ModelProto()
    try:
        model.ParseFromString(path.read_bytes())
    except DecodeError as error:
        raise _broken(path) from error
    if not model.graph.output or not model.opset_import:
        raise _broken(path)
    return model


def refuse_outside_data(path: Path, model: Any) -> None:
    """Raise `InputError` when weights lie in another file: a copy would look them up anywhere."""
    outside = [w.name for w in model.graph.initializer if w.data_location == w.EXTERNAL]
    if outside:
        raise InputError(
            f"{path} keeps {len(outside)} of its weights in another file",
            hint="save it as one file: onnx.save(onnx.load(MODEL), ONE_FILE)",
        )


def _broken(path: Path) -> InputError:
    return InputError(
        f"{path} is not a whole ONNX file", hint="it may be truncated: copy or export it again"
    )
