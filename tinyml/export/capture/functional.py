"""A captured program without operators that write into their operands."""

from __future__ import annotations

import warnings

from torch.export import ExportedProgram

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


def functional(program: ExportedProgram) -> ExportedProgram:
    """The same program; what it writes in place is a value of its own."""
    with warnings.catch_warnings():
        # torch 2.13 warns about its own use of LeafSpec
        warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)`", FutureWarning)
        made: ExportedProgram = program.run_decompositions({})
        return made


def without_writing_in_place(program: ExportedProgram) -> ExportedProgram:
    """`functional` where one of `WRITERS` is called, else ``program`` as it is."""
    called = {name_of(node.target) for node in program.graph.nodes if node.op == "call_function"}
    return functional(program) if called & set(WRITERS) else program


def name_of(target: object) -> str:
    """``index_put`` of ``aten.index_put_.default``."""
    return str(target).partition(".")[2].partition(".")[0].rstrip("_")
