"""Values in double precision: twice the bytes, and slow or unknown on small processors."""

from __future__ import annotations

from collections.abc import Iterator

from tinyml.core.target import Target
from tinyml.runtimes.file_graph import ModelGraph
from tinyml.runtimes.lint.finding import Finding, in_bytes, many

CURE = (
    "module.float(); make constants with dtype=torch.float32 (numpy's and Python's floats are "
    "64-bit)"
)


def float64_leftovers(graph: ModelGraph, target: Target | None) -> Iterator[Finding]:
    """One finding for all of them; its node is the largest."""
    doubles = [value for value in graph.values.values() if value.dtype == "float64"]
    if doubles:
        size = sum(value.size for value in doubles)
        largest = max(doubles, key=lambda value: value.size)
        cost = f"{many(len(doubles), 'tensor')} in float64, {in_bytes(size)}"
        yield Finding("float64_leftovers", largest.name, cost, CURE)
