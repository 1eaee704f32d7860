"""Numbers that become whole ones stay in float32, with what is computed from them alone."""

from __future__ import annotations

from tinyml.export.quantization.places import OF_PLACES, around_places
from tinyml.modelfile.graph import Graph, Operator, Tensor


def graph(*rows: tuple[str, str, str, str]) -> Graph:
    """(output, its type, operator, inputs by spaces) each; x is taken, the last given out."""
    made = [Operator(out, op, tuple(read.split()), (out,)) for out, _, op, read in rows]
    tensors = {out: Tensor(out, (1, 4), kind) for out, kind, _, _ in rows}
    tensors["x"] = Tensor("x", (1, 4), "float32")
    return Graph(tuple(made), (rows[-1][0],), ("x",), tensors)


def test_arithmetic_of_places_and_of_what_they_weigh_stays_up_to_the_next_layer() -> None:
    sampled = graph(
        ("conv", "float32", "CONV_2D", "x"),
        ("turned", "float32", "TANH", "conv"),
        ("grid", "float32", "MUL", "turned"),
        ("left", "float32", "FLOOR", "grid"),
        ("right", "float32", "ADD", "left"),
        ("share", "float32", "SUB", "right grid"),
        ("places", "int32", "CAST", "right"),
        ("moved", "int32", "ADD", "places"),
        ("read", "float32", "GATHER_ND", "conv moved"),
        ("weighed", "float32", "MUL", "read share"),
        ("sum", "float32", "ADD", "weighed weighed"),
        ("out", "float32", "CONV_2D", "sum"),
        ("other", "float32", "ADD", "out read"),
    )
    kept = ("turned", "grid", "left", "right", "share", "weighed", "sum")
    assert around_places(sampled) == dict.fromkeys(kept, OF_PLACES)


def test_casts_of_other_numbers_keep_nothing() -> None:
    counted = graph(
        ("double", "float32", "ADD", "x"),
        ("large", "bool", "GREATER", "double"),
        ("count", "int32", "CAST", "large"),
        ("back", "float32", "CAST", "count"),
    )
    assert around_places(counted) == {}
