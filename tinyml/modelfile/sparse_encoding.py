"""A weight with zeros -> TFLite's sparse form of it: CSR over rows of blocks.

A weight is [out, ..., in] with ones between (a 1x1 convolution's OHWI, a matrix's OI). A
block is ``block`` neighbouring output channels that are zero together: the rows of the CSR
are blocks, the values of a block lie together. Source of the encoding: ``SparsityParameters``
in TFLite's schema, and the TACO paper that it cites (Kjolstad et al. 2017, section 3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyml.core.spec import Array

# The sizes that XNNPACK has kernels for, the largest first: src/configs/spmm-config.c.
BLOCKS = (4, 2)
_NARROWEST = ((np.uint8, "Uint8"), (np.uint16, "Uint16"), (np.int32, "Int32"))


@dataclass(frozen=True, slots=True)
class SparseWeight:
    """The nonzero blocks of a weight.

    values    [nonzero blocks * block], row by row, as stored
    segments  [rows / block + 1]: where each row of blocks begins in ``indices``
    indices   [nonzero blocks]: input channel of each
    """

    shape: tuple[int, ...]
    block: int
    values: Array
    segments: Array
    indices: Array

    @property
    def size_bytes(self) -> int:
        """Values and indices, without what describes them."""
        return self.values.nbytes + self.segments.nbytes + self.indices.nbytes


def encode(weight: Array) -> SparseWeight:
    """Zeros left out, in the largest of `BLOCKS` that all zeros come in, else one by one.

    ``weight`` [out, 1 ..., in] of any type; raises `ValueError` for another shape.
    """
    if weight.ndim < 2 or any(size != 1 for size in weight.shape[1:-1]):
        raise ValueError(f"a weight of shape {weight.shape} is not a matrix")
    rows, columns = weight.shape[0], weight.shape[-1]
    block = block_of(weight)
    blocks = weight.reshape(rows // block, block, columns).transpose(0, 2, 1)
    kept = blocks.any(axis=2)
    return SparseWeight(
        shape=weight.shape,
        block=block,
        values=np.ascontiguousarray(blocks[kept]).reshape(-1),
        segments=narrowest(np.concatenate([[0], np.cumsum(kept.sum(axis=1))])),
        indices=narrowest(np.nonzero(kept)[1]),
    )


def block_of(weight: Array) -> int:
    """How many neighbouring output channels are zero together throughout; 1: no pattern."""
    rows, columns = weight.shape[0], weight.shape[-1]
    nonzero = weight.reshape(rows, columns) != 0
    for block in BLOCKS:
        if rows % block:
            continue
        alike = nonzero.reshape(rows // block, block, columns)
        if np.array_equal(alike.any(axis=1), alike.all(axis=1)):
            return block
    return 1


def narrowest(values: Array) -> Array:
    """``values`` in the narrowest of the schema's three index types that holds the largest."""
    largest = int(values.max(initial=0))
    kind = next(kind for kind, _ in _NARROWEST if largest <= np.iinfo(kind).max)
    return values.astype(kind)


def parameters(weight: SparseWeight) -> Any:
    """``schema.SparsityParametersT`` of ``weight``."""
    from ai_edge_litert import schema_py_generated as schema

    made = schema.SparsityParametersT()
    blocked = weight.block > 1
    made.traversalOrder = np.arange(len(weight.shape) + blocked, dtype=np.int32)
    made.blockMap = np.zeros(1, np.int32) if blocked else np.zeros(0, np.int32)
    dense = [weight.shape[0] // weight.block, *weight.shape[1:-1]]
    made.dimMetadata = [_dense(size) for size in dense]
    made.dimMetadata.append(_compressed(weight.segments, weight.indices))
    if blocked:
        made.dimMetadata.append(_dense(weight.block))
    return made


def _dense(size: int) -> Any:
    from ai_edge_litert import schema_py_generated as schema

    made = schema.DimensionMetadataT()
    made.format, made.denseSize = schema.DimensionType.DENSE, size
    return made


def _compressed(segments: Array, indices: Array) -> Any:
    from ai_edge_litert import schema_py_generated as schema

    made = schema.DimensionMetadataT()
    made.format = schema.DimensionType.SPARSE_CSR
    made.arraySegmentsType, made.arraySegments = _vector(segments)
    made.arrayIndicesType, made.arrayIndices = _vector(indices)
    return made


def _vector(values: Array) -> tuple[int, Any]:
    """(the union's type, its vector)."""
    from ai_edge_litert import schema_py_generated as schema

    name = next(name for kind, name in _NARROWEST if values.dtype == kind)
    made = getattr(schema, f"{name}VectorT")()
    made.values = values
    return int(getattr(schema.SparseIndexVector, f"{name}Vector")), made
