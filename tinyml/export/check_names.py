"""A written file has the names that its facts and the signature say: else its writer is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from tinyml.core.errors import InternalError
from tinyml.core.spec import Signature
from tinyml.modelfile.contents import FileContents
from tinyml.modelfile.graph import Graph
from tinyml.modelfile.read import read_contents

Names = Iterable[str]


def check_names(graph: Graph, signature: Signature, stages: Mapping[str, str | None]) -> None:
    """Raise `InternalError` unless ``graph`` has these ends and each tensor of ``stages``."""
    wanted = [[spec.name for spec in specs] for specs in (signature.inputs, signature.outputs)]
    _check_ends(graph.format, (graph.inputs, graph.outputs), wanted)
    _check_stages(graph, stages)


def check_quantized_names(floats: Path, made: Path, stages: Mapping[str, str | None]) -> None:
    """As `check_names`, of the file ``made`` of the float32 file ``floats``: with its ends."""
    contents = read_contents(made)
    _check_ends(contents.format, _ends(contents), _ends(read_contents(floats)))
    _check_stages(contents.graphs[0], stages)


def check_values(graph: Graph) -> None:
    """Raise `InternalError` where an operator reads what nothing made before, or a name is twice.

    A runtime would refuse the file, and the model would get the blame.
    """
    known = {*graph.inputs}
    known |= {name for name, tensor in graph.tensors.items() if tensor.constant is not None}
    for own in graph.operators:
        for name in own.inputs:
            if name not in known:
                raise InternalError(
                    f"in the .{graph.format} file, {own.op} '{own.name}' reads '{name}', "
                    "which nothing makes before it"
                )
        for name in own.outputs:
            if name in known:
                raise InternalError(f"the .{graph.format} file has two values called '{name}'")
        known.update(own.outputs)


def _ends(contents: FileContents) -> list[list[str]]:
    return [[own.name for own in ends] for ends in (contents.inputs, contents.outputs)]


def _check_ends(fmt: str, found: Iterable[Names], wanted: Iterable[Names]) -> None:
    for kind, names, expected in zip(("inputs", "outputs"), found, wanted, strict=True):
        if list(names) != list(expected):
            raise InternalError(
                f"the .{fmt} file has the {kind} {list(names)} instead of {list(expected)}"
            )


def _check_stages(graph: Graph, stages: Mapping[str, str | None]) -> None:
    for stage, tensor in stages.items():
        if tensor is not None and tensor not in graph.tensors:
            raise InternalError(f"the .{graph.format} file has no '{tensor}', of stage '{stage}'")
