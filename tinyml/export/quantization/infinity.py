"""Infinity as a constant: around the operand of a maximum, as a mask before a softmax, compared.

TFLite's pooling has no padding by numbers of its own, so that every ``MaxPool`` with padding is
a pad with minus infinity and a pool. No maximum is the fill's, since each window has a value next
to it: the smallest value that was seen does as well, and an integer can hold it. The range of the
pad is that of what it pads.

A mask leaves out what a query may not look at. No scale holds both scores and minus infinity: the
mask and what reads it stay in float32, and so does a comparison with infinity (``nan_to_num``).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tinyml.core.spec import Array
from tinyml.modelfile.graph import Graph

MASKED = "masks with minus infinity, which no range holds"
COMPARED = "compares with infinity, which no range holds"
# Operator -> the operand that it fills with.
_FILLS = {"PADV2": 2, "Pad": 2}
_MASKS = ("ADD", "SELECT", "SELECT_V2", "Add", "Where")
_COMPARISONS = (
    *("EQUAL", "NOT_EQUAL", "LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL"),
    *("Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"),
)


def endless_pads(graph: Graph) -> frozenset[str]:
    """What pads with minus infinity, by output."""
    return frozenset(
        operator.name
        for operator in graph.operators
        if operator.op in _FILLS and _is_endless(graph, operator.operand(_FILLS[operator.op]))
    )


def endless_masks(graph: Graph) -> frozenset[str]:
    """What masks with minus infinity, by output."""
    return frozenset(
        operator.name
        for operator in graph.operators
        if operator.op in _MASKS and any(_has(np.isneginf, graph, n) for n in operator.operands)
    )


def around_infinity(graph: Graph) -> dict[str, str]:
    """Operator -> why it stays in float32: a mask, what reads it, or a comparison."""
    masks = endless_masks(graph)
    readers = {own.name for name in masks for own in graph.consumers.get(name, ())}
    compared = [
        operator.name
        for operator in graph.operators
        if operator.op in _COMPARISONS
        and any(_has(np.isinf, graph, name) for name in operator.operands)
    ]
    return {
        **dict.fromkeys(sorted(compared), COMPARED),
        **dict.fromkeys(sorted(masks | readers), MASKED),
    }


def _is_endless(graph: Graph, name: str) -> bool:
    values = _values(graph, name)
    return values is not None and bool(np.isneginf(values).all())


def _has(kind: Callable[[Array], Array], graph: Graph, name: str) -> bool:
    values = _values(graph, name)
    return values is not None and bool(kind(values).any())


def _values(graph: Graph, name: str) -> Array | None:
    """A constant of floats."""
    stored = graph.tensors.get(name)
    if stored is None or stored.constant is None or not stored.dtype.startswith("float"):
        return None
    return stored.constant()
