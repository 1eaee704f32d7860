"""Activations that are moved between channels-first and channels-last.

Of four and five axes a transposition counts when it moves the channel axis past all
spatial ones; of three, when what makes or takes it is a convolution. Transpositions of
attention heads, of constants and of axes of size 1 (nothing moves) do not count. Fires when
more than `SHARE` of all bytes written are moved.
"""

from __future__ import annotations

from collections.abc import Iterator

from tinyml.core.diagnosis import Finding
from tinyml.core.target import Target
from tinyml.modelfile.graph import FARTHEST, Graph, Operator
from tinyml.modelfile.lint.wording import in_bytes, many
from tinyml.modelfile.ops import PRODUCTS

SHARE = 0.01
LAYOUTS = ((0, 2, 3, 1), (0, 3, 1, 2), (0, 2, 3, 4, 1), (0, 4, 1, 2, 3))
THROUGH = ("RESHAPE", "EXPAND_DIMS", "SQUEEZE", "PAD", "Reshape", "Unsqueeze", "Squeeze", "Pad")
FIXES = {
    "tflite": "give the input channels last: `input_layout=nhwc`; between layers, use operators "
    "that the converter keeps in one layout (no flatten, reshape or view across channels)",
    "onnx": "keep channels first: take permute() and channels-last views out of the module",
}


def layout_transposes(graph: Graph, target: Target | None) -> Iterator[Finding]:
    """One finding for all of them; its node moves the most."""
    moving = [operator for operator in graph.operators if _moves_layout(graph, operator)]
    size = sum(graph.written(operator) for operator in moving)
    total = sum(graph.written(operator) for operator in graph.operators)
    if moving and size > SHARE * total:
        most = max(moving, key=graph.written)
        cost = f"{many(len(moving), 'layout transpose')}, {in_bytes(size)} moved a call"
        yield Finding("layout_transposes", most.label, cost, FIXES[graph.format])


def _moves_layout(graph: Graph, operator: Operator) -> bool:
    if operator.op not in ("TRANSPOSE", "Transpose"):
        return False
    source = graph.tensors[operator.operands[0]]
    order = _order(graph, operator)
    if source.constant is not None or source.shape is None or not order:
        return False
    kept = [axis for axis in order if source.shape[axis] > 1]
    if kept == sorted(kept):
        return False
    return order in LAYOUTS or (order == (0, 2, 1) and _near_convolution(graph, operator))


def _order(graph: Graph, operator: Operator) -> tuple[int, ...]:
    if graph.format == "onnx":
        return tuple(operator.attributes.get("perm", ()))
    constant = graph.tensors[operator.operands[1]].constant
    return tuple(int(axis) for axis in constant().reshape(-1)) if constant else ()


def _near_convolution(graph: Graph, operator: Operator) -> bool:
    """Whether a convolution makes or takes its value, seen through reshaping."""
    maker = graph.producers.get(graph.before(operator.operands[0], THROUGH))
    if maker is not None and _is_convolution(maker):
        return True
    front, seen = list(operator.outputs), set(operator.outputs)
    while front and len(seen) < FARTHEST:
        for user in graph.consumers.get(front.pop(), ()):
            if _is_convolution(user):
                return True
            if user.op in THROUGH:
                front += [name for name in user.outputs if name not in seen]
                seen.update(user.outputs)
    return False


def _is_convolution(operator: Operator) -> bool:
    return operator.op in PRODUCTS and PRODUCTS[operator.op].is_convolution
