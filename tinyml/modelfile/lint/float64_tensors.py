"""Values in double precision: twice the bytes, and slow or unknown on small processors."""

from __future__ import annotations

from collections.abc import Iterator

from tinyml.core.diagnosis import Finding
from tinyml.core.target import Target
from tinyml.modelfile.graph import Graph
from tinyml.modelfile.lint.wording import in_bytes, many

FIX = (
    "module.float(); make constants with dtype=torch.float32 (numpy's and Python's floats are "
    "64-bit)"
)


def float64_tensors(graph: Graph, target: Target | None) -> Iterator[Finding]:
    """One finding for all of them; its node is the largest."""
    doubles = [value for value in graph.tensors.values() if value.dtype == "float64"]
    if doubles:
        size = sum(value.size for value in doubles)
        largest = max(doubles, key=lambda value: value.size)
        cost = f"{many(len(doubles), 'tensor')} in float64, {in_bytes(size)}"
        yield Finding("float64_tensors", largest.name, cost, FIX)
