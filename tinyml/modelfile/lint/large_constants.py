"""A stored tensor of more than a tenth of the file that need not be so large.

The weights of convolutions, products and embeddings are what a model file is for: they
count only where most of their values are zero, or where they repeat one slice, and never
where they are stored without their zeros. Anything else that is stored (tables, masks,
buffers that were expanded) counts by its size alone.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tinyml.core.diagnosis import Finding
from tinyml.core.spec import Array
from tinyml.core.target import Target
from tinyml.modelfile.graph import Graph, Tensor
from tinyml.modelfile.lint.wording import in_bytes
from tinyml.modelfile.ops import WEIGHTED

SHARE = 0.1
LEAST_BYTES = 4096
ZEROS = 0.75
REPEATED = "store one slice and expand it when it is used"
SPARSE = "compute it from what is not zero, or split it: grouped or block-wise products"
TABLE = "compute it in the graph, store it smaller, or drop the buffer if it is not needed"


def large_constants(graph: Graph, target: Target | None) -> Iterator[Finding]:
    """One finding per tensor, the largest first."""
    users: dict[str, set[str]] = {}
    values: dict[str, Tensor] = {}
    for operator in graph.operators:
        reader = set() if graph.carries(operator) else {operator.op}
        for value in graph.constants(operator):
            users.setdefault(value.key, set()).update(reader)
            values[value.key] = value
    least = max(LEAST_BYTES, SHARE * graph.file_bytes)
    large = [value for value in values.values() if value.size > least and not value.sparse]
    for value in sorted(large, key=lambda value: -value.size):
        assert value.constant is not None
        readers = users[value.key]
        why, fix = _reason(value.constant(), bool(readers) and readers <= WEIGHTED.keys())
        if why:
            share = value.size / graph.file_bytes
            cost = f"{in_bytes(value.size)}, {share:.0%} of the file, {why}"
            yield Finding("large_constants", value.name, cost, fix)


def _reason(array: Array, weight: bool) -> tuple[str, str]:
    """(what is wrong with it, fix); empty when it is a weight as weights are."""
    axes = [axis for axis in range(array.ndim) if array.shape[axis] > 1 and _repeats(array, axis)]
    if axes:
        return f"the same along axis {axes[0]} ({array.shape[axes[0]]} times)", REPEATED
    zeros = 1.0 - np.count_nonzero(array) / array.size
    if zeros > ZEROS:
        return f"{zeros:.0%} of it zero", SPARSE
    return ("", "") if weight else ("no weight of any layer", TABLE)


def _repeats(array: Array, axis: int) -> bool:
    return bool(np.all(array == np.take(array, [0], axis=axis)))
