"""Pads with minus infinity, in front of a maximum: their range is that of what they pad.

TFLite's pooling has no padding by numbers of its own, so that every ``MaxPool`` with padding is
such a pad and a pool. No maximum is the fill's, since each window has a value next to it: the
smallest value that was seen does as well, and an integer can hold it.
"""

from __future__ import annotations

import numpy as np

from tinyml.modelfile.graph import Graph

_FILLS = {"PADV2": 2, "Pad": 2}


def endless_pads(graph: Graph) -> frozenset[str]:
    """What pads with minus infinity, by output."""
    return frozenset(
        operator.name
        for operator in graph.operators
        if operator.op in _FILLS and _is_endless(graph, operator.operand(_FILLS[operator.op]))
    )


def _is_endless(graph: Graph, fill: str) -> bool:
    stored = graph.tensors.get(fill)
    return (
        stored is not None
        and stored.constant is not None
        and bool(np.all(np.isneginf(np.asarray(stored.constant(), np.float64))))
    )
