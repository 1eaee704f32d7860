"""The least memory that the activations of a captured program take at once, before it is converted.

A lower bound, since it is there to refuse: whatever a runtime may avoid is not counted. Views and
copies share the memory of what they are made of, what is computed from constants is a constant, and
an operation may write over operands that nothing else reads, unless each of its outputs needs many
of their values: convolutions, matrix products and pooling. The peaks of small networks written to
.onnx are 1.0 to 1.8 times as large (`tinyml.modelfile.lint.large_activations`).
"""

from __future__ import annotations

import operator

from torch import Tensor
from torch.export import ExportedProgram
from torch.fx import Node

from tinyml.export.capture.functional import returns_view
from tinyml.export.capture.module_stack import submodule

# Parts of the names of operations that cannot write over what they read.
_APART = ("aten.conv", "aten.linear", "matmul", "bmm", "addmm", "aten.mm", "pool")
# What runtimes drop, or compute as a part of the operation behind it.
_CARRIED = ("clone", "contiguous", "dropout", "constant_pad_nd", "aten.pad")


def activation_peak(program: ExportedProgram) -> tuple[int, str]:
    """Most bytes alive at once, in the types of ``program``, and the submodule then at work."""
    held = _storages(program)
    nodes = list(program.graph.nodes)
    last = {
        held[own]: at
        for at, node in enumerate(nodes)
        for own in (node, *node.all_input_nodes)
        if own in held
    }
    alive: set[Node] = set()
    peak, place = 0, ""
    for at, node in enumerate(nodes):
        alive = {own for own in alive if last[own] >= at}
        here = alive if _is_apart(node) else {own for own in alive if last[own] > at}
        if node in held:
            here, alive = here | {held[node]}, alive | {held[node]}
        size = sum(map(_size, here))
        if size > peak:
            peak, place = size, submodule(node)
    return peak, place


def _storages(program: ExportedProgram) -> dict[Node, Node]:
    """Node whose value depends on an input -> the node whose memory holds it."""
    inputs = set(program.graph_signature.user_inputs)
    held: dict[Node, Node] = {}
    for node in program.graph.nodes:
        read = [own for own in node.all_input_nodes if own in held]
        if node.name in inputs:
            held[node] = node
        elif node.op == "call_function" and read:
            source = read[0] if node.target is operator.getitem else node  # of an element
            carried = returns_view(source) or _named(source, _CARRIED)
            held[node] = held[read[0]] if carried else node
    return held


def _is_apart(node: Node) -> bool:
    return node.op == "output" or _named(node, _APART)


def _named(node: Node, parts: tuple[str, ...]) -> bool:
    return any(part in str(node.target) for part in parts)


def _size(node: Node) -> int:
    """Bytes of a tensor; none of a tuple of them, whose elements are nodes of their own.

    None, too, where a size depends on the data.
    """
    value = node.meta.get("val")
    if not isinstance(value, Tensor) or not isinstance(value.numel(), int):
        return 0
    return value.numel() * value.element_size()
