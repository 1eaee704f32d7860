"""MAXIMUM has one scale for what it reads and what it gives; its own range would cut its operand.

ai-edge-quantizer gives the operand the scale of the output. ``clamp(x, -0.5, 0.4)`` of a layer
that gives -3 to 3 would store that layer from -0.5 on: the network's output is the same, but
the layer's stage is not what PyTorch computes there. So the output takes the wider range.
"""

from __future__ import annotations

from collections.abc import Mapping

from tinyml.export.quantization.ranges import Range
from tinyml.modelfile.graph import Graph


def clamp_ranges(graph: Graph, ranges: Mapping[str, Range]) -> dict[str, Range]:
    """Output of a MAXIMUM -> a range that holds those of its operands; only where it is wider."""
    found: dict[str, Range] = {}
    for operator in graph.operators:
        own = ranges.get(operator.name)
        if operator.op != "MAXIMUM" or own is None:
            continue
        read = [found.get(name, ranges[name]) for name in operator.inputs if name in ranges]
        low = min([own.low, *(operand.low for operand in read)])
        if low < own.low:
            found[operator.name] = Range(low, own.high)
    return found
