"""Activations that the target's memory does not hold.

Counted as the largest sum of values that are alive at once, in the file's order: a lower
bound, since a runtime keeps more, and the system and the weights come on top.
"""

from __future__ import annotations

from collections.abc import Iterator

from tinyml.core.diagnosis import Finding
from tinyml.core.target import Target
from tinyml.modelfile.graph import Graph
from tinyml.modelfile.lint.wording import in_bytes

FIX = "shorten the input or window, stride earlier, or process it in pieces with a state"


def large_activations(graph: Graph, target: Target | None) -> Iterator[Finding]:
    """At most one finding: the operator at which most is alive. Silent without a target."""
    if target is None or not target.memory_mb:
        return
    peak, node = peak_bytes(graph)
    if peak > target.memory_mb << 20:
        cost = f"{in_bytes(peak)} alive at once, {target.name} has {target.memory_mb} MiB"
        yield Finding("large_activations", node, cost, FIX)


def peak_bytes(graph: Graph) -> tuple[int, str]:
    """(largest sum of the values alive at once, the operator at which that is)."""
    last = {name: place for place, o in enumerate(graph.operators) for name in o.operands}
    last |= dict.fromkeys(graph.outputs, len(graph.operators))
    alive = sum(graph.tensors[name].size for name in graph.inputs)
    peak, node = alive, graph.inputs[0] if graph.inputs else ""
    for place, operator in enumerate(graph.operators):
        alive += graph.written(operator)
        if alive > peak:
            peak, node = alive, operator.label
        for name in {*operator.operands, *operator.outputs}:
            if graph.tensors[name].constant is None and last.get(name, place) == place:
                alive -= graph.tensors[name].size
    return peak, node
