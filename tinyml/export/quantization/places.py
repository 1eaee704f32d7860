"""Numbers that become whole ones, as places to read from, stay in float32 with what they come from.

A grid of places in eight bits has steps that are no whole number of pixels: 3 is stored as 2.996,
and read as 2. What is computed from places alone, as the share of each neighbour is, would be the
difference of two numbers that were rounded otherwise. Where a place moves to the next pixel, shares
change hands: only their sum has a range that holds then, so what they weigh stays too.
"""

from __future__ import annotations

from tinyml.export.quantization.joins import BY_VALUE, MOVERS
from tinyml.modelfile.graph import Graph, Operator

OF_PLACES = "computes whole numbers, such as places: a step of eight bits would change them"
_CASTS = ("CAST", "Cast")
_ARITHMETIC = (
    *("ADD", "SUB", "MUL", "DIV", "MAXIMUM", "MINIMUM", "FLOOR", "CEIL", "ROUND", "ABS", "NEG"),
    *("Add", "Sub", "Mul", "Div", "Max", "Min", "Floor", "Ceil", "Round", "Abs", "Neg", "Clip"),
    *("SELECT", "SELECT_V2", "Where"),
)

_BY_VALUE = {*_ARITHMETIC, *BY_VALUE, *MOVERS, "BROADCAST_TO", "Expand"}


def around_places(graph: Graph) -> dict[str, str]:
    """Operator -> why it stays in float32.

    What computes or moves each value by itself on the way to a cast; arithmetic of such numbers
    alone, which are shares; and arithmetic with shares.
    """
    casts = [own for own in graph.operators if _makes_whole(graph, own)]
    before = graph.feeding(
        (name for own in casts for name in own.inputs),
        lambda own: _floats(graph, own) if own.op in _BY_VALUE else (),
    )
    places = {name for name, own in before.items() if own.op in _BY_VALUE}
    shares: set[str] = set()
    for own in graph.operators:
        floats = _floats(graph, own)
        if own.op not in _ARITHMETIC or not floats or own.name in places:
            continue
        if places.issuperset(floats) or shares.intersection(floats):
            shares.add(own.name)
    found = places | shares
    return {own.name: OF_PLACES for own in graph.operators if own.name in found}


def _makes_whole(graph: Graph, operator: Operator) -> bool:
    made = graph.tensors.get(operator.name)
    is_integer = made is not None and made.dtype.startswith(("int", "uint"))
    return operator.op in _CASTS and is_integer and bool(_floats(graph, operator))


def _floats(graph: Graph, operator: Operator) -> list[str]:
    """The operands that are computed and are floats."""
    known = (graph.tensors.get(name) for name in operator.inputs)
    return [own.name for own in known if own is not None and own.dtype.startswith("float")]
