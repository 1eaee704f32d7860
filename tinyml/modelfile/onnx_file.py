"""An ONNX file as its protobuf; nothing is run and no file outside of its folder is opened."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tinyml.core.errors import InputError, MissingExtraError
from tinyml.core.spec import Array
from tinyml.modelfile.broken_file import check_file
from tinyml.modelfile.external_data import place_of, read_place
from tinyml.modelfile.limits import DEEPEST, LARGEST_MESSAGE, MOST_NODES
from tinyml.modelfile.ops import LARGEST_RANK
from tinyml.modelfile.verify_protobuf import UnsoundError, verify_protobuf


def import_onnx() -> Any:
    """The module; `MissingExtraError` when it is not installed."""
    try:
        import onnx
    except ImportError as error:
        raise MissingExtraError("onnx", "onnx") from error
    return onnx


def read_onnx(path: Path) -> Any:
    """The ``ModelProto`` in ``path``; `InputError` when the file is no whole ONNX model.

    Weights in a file beside it are looked for, not read: `tensor_array` reads one.
    """
    onnx = import_onnx()
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    check_file(path)
    if path.stat().st_size > LARGEST_MESSAGE:
        raise _broken(path, f"it is larger than {LARGEST_MESSAGE:,} bytes")
    model, data = onnx.ModelProto(), path.read_bytes()
    try:
        verify_protobuf(data, model.DESCRIPTOR)
        model.ParseFromString(data)
        _check(model)
    except (DecodeError, UnsoundError) as error:
        raise _broken(path, str(error) if isinstance(error, UnsoundError) else "") from error
    for tensor in _initializers(model):
        if tensor.data_location == tensor.EXTERNAL:
            place_of(path, tensor)
    return model


def graphs_of(graph: Any) -> Iterator[Any]:
    """``graph`` and every one within its nodes."""
    yield graph
    for node in graph.node:
        for inner in graphs_in(node):
            yield from graphs_of(inner)


def graphs_in(node: Any) -> Iterator[Any]:
    """The branches and bodies that ``node`` itself holds."""
    for attribute in node.attribute:
        yield from [attribute.g] if attribute.HasField("g") else attribute.graphs


def tensor_array(path: Path, tensor: Any) -> Array:
    """The values of a ``TensorProto``; `InputError` where they are not what it says."""
    onnx = import_onnx()
    if tensor.data_location == tensor.EXTERNAL:
        raw = read_place(place_of(path, tensor))
        tensor = onnx.TensorProto(
            name=tensor.name, dims=tensor.dims, data_type=tensor.data_type, raw_data=raw
        )
    try:
        return np.asarray(onnx.numpy_helper.to_array(tensor))
    except (ValueError, TypeError, LookupError, OverflowError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: the tensor '{tensor.name}' is not whole: {reason}") from error


def refuse_outside_data(path: Path, model: Any) -> None:
    """Raise `InputError` when weights lie in another file: a copy would look them up anywhere."""
    outside = [w.name for w in model.graph.initializer if w.data_location == w.EXTERNAL]
    if outside:
        raise InputError(
            f"{path} keeps {len(outside)} of its weights in another file",
            hint="save it as one file: onnx.save(onnx.load(MODEL), ONE_FILE)",
        )


def _check(model: Any) -> None:
    """Raise `UnsoundError` for what no reader of the graph could end with."""
    if not model.graph.output or not model.opset_import:
        raise UnsoundError("")
    for tensor in _initializers(model):
        if len(tensor.dims) > LARGEST_RANK or any(size < 0 for size in tensor.dims):
            raise UnsoundError(f"the tensor '{tensor.name}' has no shape that can be")
    count = _counter(model)
    if count(list(model.graph.node)) > MOST_NODES:
        raise UnsoundError(f"more than {MOST_NODES:,} nodes with its functions written out")


def _counter(model: Any) -> Callable[[list[Any]], int]:
    """Counts nodes with those of the functions that they call; refuses one that calls itself."""
    functions = {(f.domain, f.name): f for f in model.functions}
    known: dict[tuple[str, str], int] = {}
    open_now: set[tuple[str, str]] = set()

    def of_function(key: tuple[str, str]) -> int:
        if key in open_now or len(open_now) > DEEPEST:
            raise UnsoundError(f"the function '{key[1]}' calls itself, or lies too deep")
        if key not in known:
            open_now.add(key)
            known[key] = of_nodes(list(functions[key].node))
            open_now.remove(key)
        return known[key]

    def of_nodes(nodes: list[Any]) -> int:
        total = len(nodes)
        for node in nodes:
            total += sum(of_nodes(list(inner.node)) for inner in graphs_in(node))
            key = (node.domain, node.op_type)
            total += of_function(key) if key in functions else 0
        return total

    return of_nodes


def _initializers(model: Any) -> Iterator[Any]:
    for graph in graphs_of(model.graph):
        yield from graph.initializer


def _broken(path: Path, why: str = "") -> InputError:
    return InputError(
        f"{path} is not a whole ONNX file{': ' if why else ''}{why}",
        hint="it may be truncated or made up: copy or export it again",
    )
