"""Weights that a .tflite file stores without their zeros, whoever wrote them.

``SparsityParameters`` of TFLite's schema: the dimensions in the order stored, the blocked
ones last, each either dense or compressed as segments and indices. All is checked before the
tensor is laid out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinyml.core.errors import InputError
from tinyml.core.spec import Array
from tinyml.modelfile.tflite_file import import_schema, indices, read_tflite, text


@dataclass(frozen=True, slots=True)
class SparseTensor:
    """A stored tensor.

    block         sizes of its blocks by dimension, all 1 without blocks
    values        how many are stored; a block's zeros are among them
    index_bytes   segments and indices
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    block: tuple[int, ...]
    values: int
    index_bytes: int
    stored_bytes: int
    dense_bytes: int

    @property
    def sparsity(self) -> float:
        """Share of the dense tensor that is not stored."""
        return 1 - self.values / max(1, math.prod(self.shape))


@dataclass(frozen=True, slots=True)
class _Level:
    """One dimension in the order stored; ``segments`` and ``indices`` of a compressed one."""

    size: int
    segments: Array | None = None
    indices: Array | None = None


def read_sparse(path: Path) -> tuple[SparseTensor, ...]:
    """What ``path`` stores sparse, in the file's order; `InputError` where it is not sound."""
    model = read_tflite(path)
    return tuple(describe(path, model, tensor) for tensor in sparse_tensors(model))


def sparse_tensors(model: Any) -> Iterator[Any]:
    """The schema's tensors that are stored sparse."""
    for graph in model.subgraphs:
        yield from (tensor for tensor in graph.tensors or () if tensor.sparsity is not None)


def describe(path: Path, model: Any, tensor: Any) -> SparseTensor:
    """What is stored of one tensor, checked; `InputError` names it."""
    shape, block, levels = _checked(path, tensor)
    dtype = _dtype(path, tensor)
    stored = _stored(levels)
    data = model.buffers[tensor.buffer].data
    if not dtype.itemsize:
        raise _unsound(path, tensor, "values of a type without a size")
    held = 0 if data is None else len(data) // dtype.itemsize
    if held != stored:
        raise _unsound(path, tensor, f"it holds {held:,} values and describes {stored:,}")
    return SparseTensor(
        name=text(tensor.name),
        shape=shape,
        dtype=str(dtype),
        block=block,
        values=stored,
        index_bytes=index_bytes(tensor),
        stored_bytes=stored * dtype.itemsize + index_bytes(tensor),
        dense_bytes=math.prod(shape) * dtype.itemsize,
    )


def index_bytes(tensor: Any) -> int:
    """Bytes of its segments and indices; 0 of a dense tensor."""
    levels = (tensor.sparsity.dimMetadata or ()) if tensor.sparsity is not None else ()
    return sum(_vector(m.arraySegments).nbytes + _vector(m.arrayIndices).nbytes for m in levels)


def dense(path: Path, model: Any, tensor: Any) -> Array:
    """The tensor with its zeros; `InputError` where it is not sound."""
    found = describe(path, model, tensor)
    _, block, levels = _checked(path, tensor)
    coordinates = _coordinates(levels)
    order, blocked = indices(tensor.sparsity.traversalOrder), indices(tensor.sparsity.blockMap)
    place = [np.zeros(found.values, np.int64) for _ in found.shape]
    rank = len(found.shape)
    for level, dimension in enumerate(order):
        if dimension < rank:
            place[dimension] += coordinates[level] * block[dimension]
        else:
            place[blocked[dimension - rank]] += coordinates[level]
    made = np.zeros(found.shape, found.dtype)
    data = np.asarray(model.buffers[tensor.buffer].data, np.uint8)
    made[tuple(place)] = data[: found.values * made.itemsize].view(made.dtype)
    return made


def _checked(path: Path, tensor: Any) -> tuple[tuple[int, ...], tuple[int, ...], list[_Level]]:
    """(shape, block by dimension, levels in the order stored)."""
    sparsity = tensor.sparsity
    shape, order = tuple(indices(tensor.shape)), indices(sparsity.traversalOrder)
    blocked, metadata = indices(sparsity.blockMap), list(sparsity.dimMetadata or ())
    rank = len(shape)
    if min(shape, default=0) < 1:
        raise _unsound(path, tensor, f"its shape is {shape}")
    if len(metadata) != len(order) or sorted(order) != list(range(rank + len(blocked))):
        raise _unsound(path, tensor, f"the order {order} does not name each dimension once")
    if len(set(blocked)) != len(blocked) or any(not 0 <= d < rank for d in blocked):
        raise _unsound(path, tensor, f"blocks of the dimensions {blocked}")
    if any(dimension < rank for dimension in order[rank:]):
        raise _unsound(path, tensor, "a block's dimension lies outside of another one")
    block = [1] * rank
    for level, dimension in enumerate(order):
        if dimension >= rank:
            block[blocked[dimension - rank]] = int(metadata[level].denseSize)
    if any(size < 1 or whole % size for size, whole in zip(block, shape, strict=True)):
        raise _unsound(path, tensor, f"blocks of {block} do not divide {shape}")
    sizes = [s // b for s, b in zip(shape, block, strict=True)] + [block[d] for d in blocked]
    levels, parents = [], 1
    for level, dimension in enumerate(order):
        made = _level(path, tensor, metadata[level], sizes[dimension], parents)
        parents = parents * made.size if made.indices is None else len(made.indices)
        levels.append(made)
    return shape, tuple(block), levels


def _level(path: Path, tensor: Any, metadata: Any, size: int, parents: int) -> _Level:
    schema = import_schema()
    if metadata.format == schema.DimensionType.DENSE:
        if metadata.denseSize != size:
            raise _unsound(path, tensor, f"a dimension of {metadata.denseSize}, not {size}")
        return _Level(size)
    if metadata.format != schema.DimensionType.SPARSE_CSR:
        raise _unsound(path, tensor, f"a dimension of the unknown format {metadata.format}")
    segments, found = _vector(metadata.arraySegments), _vector(metadata.arrayIndices)
    wide = segments.astype(np.int64)
    if len(wide) != parents + 1 or wide[0] != 0 or wide[-1] != len(found):
        raise _unsound(path, tensor, f"{len(wide):,} segments for {parents:,} rows")
    if np.any(np.diff(wide) < 0) or (found.size and not 0 <= found.min() <= found.max() < size):
        raise _unsound(path, tensor, "segments that fall, or an index outside of its dimension")
    return _Level(size, segments, found)


def _vector(stored: Any) -> Array:
    values = None if stored is None else stored.values
    return np.zeros(0, np.int32) if values is None else np.asarray(values)


def _stored(levels: Sequence[_Level]) -> int:
    """How many values the levels describe."""
    count = 1
    for level in levels:
        count = count * level.size if level.indices is None else len(level.indices)
    return count


def _coordinates(levels: Sequence[_Level]) -> list[Array]:
    """Per level, its coordinate of every stored value."""
    found: list[Array] = []
    rows = 1
    for level in levels:
        if level.indices is None or level.segments is None:
            found = [np.repeat(known, level.size) for known in found]
            found.append(np.tile(np.arange(level.size), rows))
            rows *= level.size
            continue
        ends = level.segments.astype(np.int64)
        lengths = ends[1:] - ends[:-1]
        found = [np.repeat(known, lengths) for known in found]
        found.append(level.indices.astype(np.int64))
        rows = len(level.indices)
    return found


def _dtype(path: Path, tensor: Any) -> np.dtype[Any]:
    names = {n: k.lower() for k, n in vars(import_schema().TensorType).items() if k[0] != "_"}
    try:
        dtype: np.dtype[Any] = np.dtype(names.get(int(tensor.type), "none"))
    except TypeError as error:
        raise _unsound(path, tensor, "values of a type without a size") from error
    return dtype


def _unsound(path: Path, tensor: Any, why: str) -> InputError:
    return InputError(
        f"{path}: the sparse tensor '{text(tensor.name)}' is not sound: {why}",
        hint="it may be truncated or made up: export it again",
    )
