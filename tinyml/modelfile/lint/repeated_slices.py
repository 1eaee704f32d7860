"""One value that is cut into many pieces, each by an operator of its own.

Adaptive pooling to sizes that do not divide, and windows taken in a Python loop, become this.
"""

from __future__ import annotations

from collections.abc import Iterator

from tinyml.core.diagnosis import Finding
from tinyml.core.target import Target
from tinyml.modelfile.graph import Graph, Operator
from tinyml.modelfile.lint.wording import in_bytes, many

SLICES = 8
OPS = ("SLICE", "STRIDED_SLICE", "Slice", "GATHER", "Gather")
FIX = (
    "pool to a size that divides (or by one strided pooling), cut windows by one strided "
    "convolution or reshape, not in a Python loop"
)


def repeated_slices(graph: Graph, target: Target | None) -> Iterator[Finding]:
    """One finding per value that is cut `SLICES` times or more; later cuts of pieces count in."""
    roots: dict[str, str] = {}
    trees: dict[str, list[Operator]] = {}
    for operator in graph.operators:
        if operator.op in OPS and graph.tensors[operator.operands[0]].constant is None:
            root = roots.get(operator.operands[0], operator.operands[0])
            roots |= dict.fromkeys(operator.outputs, root)
            trees.setdefault(root, []).append(operator)
    for root, slices in trees.items():
        if len(slices) >= SLICES:
            size = sum(graph.written(operator) for operator in slices)
            cost = f"{many(len(slices), 'slice')} of one tensor, {in_bytes(size)} copied a call"
            yield Finding("repeated_slices", graph.tensors[root].name, cost, FIX)
