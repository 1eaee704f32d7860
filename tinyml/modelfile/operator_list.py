"""The operators of a model file in their order, as a profile needs them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tinyml.modelfile.broken_file import reading
from tinyml.modelfile.graph import Graph, Operator
from tinyml.modelfile.read import read_graph
from tinyml.modelfile.summary import macs


@dataclass(frozen=True, slots=True)
class ListedOperator:
    """One operator of the main graph.

    name     the name that the file gives it, else that of its first output
    outputs  its tensors' names
    macs     multiply-accumulates of one call; ``None`` when a shape is not known
    sources  the operators that make what it reads, by their ``name``
    front    of an activation, the operator in front that runtimes compute it with: its ``name``
    is_fixed  whether it computes with constants alone, as what unpacks a weight: once, when loaded
    is_cut   whether it needs all that comes before it: a file that ends here is all of that
    """

    name: str
    op: str
    outputs: tuple[str, ...]
    macs: int | None
    sources: tuple[str, ...] = ()
    front: str = ""
    is_fixed: bool = False
    is_cut: bool = False


def list_operators(path: Path) -> tuple[ListedOperator, ...]:
    """Of the main graph, in its order; raises as `tinyml.modelfile.read.read_graph`."""
    graph = read_graph(path)
    with reading(path):
        return _listed(graph)


def _listed(graph: Graph) -> tuple[ListedOperator, ...]:
    fronts = graph.fused_activations()
    by_key = {operator.name: operator for operator in graph.operators}
    flowing = _flowing(graph)
    cuts = _cuts(graph, flowing)
    return tuple(
        ListedOperator(
            name=own.label or own.name,
            op=own.op,
            outputs=tuple(graph.tensors[key].name for key in own.outputs),
            macs=macs(graph, own),
            sources=tuple(_label(graph.producers[k]) for k in own.operands if k in graph.producers),
            front=_label(by_key.get(fronts.get(own.name, ""))),
            is_fixed=own.name not in flowing,
            is_cut=own.name in cuts,
        )
        for own in graph.operators
    )


def _label(operator: Operator | None) -> str:
    return "" if operator is None else operator.label or operator.name


def _flowing(graph: Graph) -> set[str]:
    """Operators that compute with the inputs."""
    tensors, found = set(graph.inputs), set[str]()
    for own in graph.operators:
        if not tensors.isdisjoint(own.operands):
            tensors.update(own.outputs)
            found.add(own.name)
    return found


def _cuts(graph: Graph, flowing: set[str]) -> set[str]:
    """Of ``flowing``, those on whose one output all earlier ones end that anything depends on."""
    live = graph.feeding(graph.outputs, lambda own: own.operands)
    before, found = set[str](), set[str]()
    for own in graph.operators:
        if own.name not in live or own.name not in flowing:
            continue
        before.add(own.name)
        if len(own.outputs) == 1 and before <= graph.feeding(own.outputs).keys():
            found.add(own.name)
    return found
