"""A captured program without operators that write into their operands."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch.export import ExportedProgram
from torch.fx import Node

# Operators with a rewrite that must know who else sees what is written to, views included.
WRITERS = (
    "index_put",
    "index_add",
    "index_copy",
    "index_fill",
    "scatter",
    "scatter_add",
    "scatter_reduce",
    "masked_scatter",
)


def functional(
    program: ExportedProgram, table: Mapping[Any, Callable[..., Any]] | None = None
) -> ExportedProgram:
    """The same program; what it writes in place is a value of its own.

    ``table``: operator -> what computes the same, which takes its place.
    """
    with warnings.catch_warnings():
        # torch 2.13 warns about its own use of LeafSpec
        warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)`", FutureWarning)
        made: ExportedProgram = program.run_decompositions(dict(table or {}))
        return made


def without_writing_in_place(program: ExportedProgram) -> ExportedProgram:
    """`functional` where one of `WRITERS` is called, else ``program`` as it is."""
    called = {name_of(node.target) for node in program.graph.nodes if node.op == "call_function"}
    return functional(program) if called & set(WRITERS) else program


def is_written_later(node: Node, nodes: Sequence[Node]) -> bool:
    """Whether one of ``nodes`` behind ``node`` writes into its value, or into a view of it."""
    views = {node}
    for later in nodes[nodes.index(node) + 1 :]:
        for operand, alias in _aliases(later):
            if operand in views and alias.is_write:
                return True
            if operand in views:
                views.add(later)
    return False


def returns_view(node: Node) -> bool:
    """Whether the value of ``node`` shares memory with an operand."""
    schema = getattr(node.target, "_schema", None)
    return schema is not None and any(own.alias_info is not None for own in schema.returns)


def _aliases(node: Node) -> list[tuple[object, Any]]:
    """The operands that ``node`` writes into or is a view of, each with the schema's note of it."""
    schema = getattr(node.target, "_schema", None)
    given = zip(schema.arguments, node.args, strict=False) if schema is not None else ()
    return [(value, own.alias_info) for own, value in given if own.alias_info is not None]


def name_of(target: object) -> str:
    """``index_put`` of ``aten.index_put_.default``."""
    return str(target).partition(".")[2].partition(".")[0].rstrip("_")
