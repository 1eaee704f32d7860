"""MAXIMUM and SELECT have one scale for all they read and give; their own range would cut operands.

ai-edge-quantizer gives an operand the scale of the output. ``clamp(x, -0.5, 0.4)`` of a layer
that gives -3 to 3 would store that layer from -0.5 on, ``tril(x)`` within what is left of it: the
network's output is the same, but the layer's stage is not what PyTorch computes there. So the
output takes the wider range, unless it would keep fewer than 8 of its 255 steps: ``1 / x`` where x
is not zero needs no more of the quotient than what is chosen.
"""

from __future__ import annotations

from collections.abc import Mapping

from tinyml.core.parts import UNEVEN
from tinyml.export.quantization.ranges import Range
from tinyml.modelfile.graph import Graph

_OF_OUTPUT = ("MAXIMUM", "SELECT", "SELECT_V2")


def clamp_ranges(graph: Graph, ranges: Mapping[str, Range]) -> dict[str, Range]:
    """Output of such an operator -> a range that holds its operands'; only where it is wider."""
    found: dict[str, Range] = {}
    for operator in graph.operators:
        own = ranges.get(operator.name)
        if operator.op not in _OF_OUTPUT or own is None:
            continue
        held = [own, *(found.get(n, ranges[n]) for n in operator.inputs if n in ranges)]
        wide = Range(min(one.low for one in held), max(one.high for one in held))
        if wide != own and wide.high - wide.low <= UNEVEN * (own.high - own.low):
            found[operator.name] = wide
    return found
