"""``conv(x, padding="same")`` -> ``conv(x, padding=[...])``, or ``conv(pad(x))``.

For LiteRT's converter only: it refuses a word on a ``conv1d``, and pads the others twice where
the zeros are uneven. ``same`` means ``dilation * (kernel - 1)`` zeros along an axis. Where that
number is odd (an even kernel, an odd dilation), PyTorch puts the one more behind, and a
convolution's own padding cannot: then all the zeros are one operator in front. PyTorch's ONNX
exporter writes the numbers itself.

Refused where the padding is given in numbers. The convolution keeps its node and name.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.fx import Graph, Node

from tinyml.export.nodes import argument, shape_of, writer_in_module
from tinyml.export.outcome import Outcome

_aten = torch.ops.aten
# Convolutions whose padding is a word -> the same with numbers.
_NAMED = {
    _aten.conv1d.padding: _aten.conv1d.default,
    _aten.conv2d.padding: _aten.conv2d.default,
    _aten.conv3d.padding: _aten.conv3d.default,
}


def pad_by_numbers(graph: Graph) -> Outcome:
    """Write the padding of convolutions in numbers."""
    found = [node for node in graph.nodes if node.target in _NAMED]
    for conv in found:
        _rewrite(conv)
    return Outcome(len(found))


def _rewrite(conv: Node) -> None:
    x, dilations, totals = conv.args[0], _dilations(conv), _zeros(conv)
    sides = [total // 2 for total in totals]
    if any(total % 2 for total in totals):
        x, sides = _padded(conv, totals), [0] * len(totals)
    stride = argument(conv, 3, "stride", [1] * len(totals))
    bias, groups = argument(conv, 2, "bias", None), argument(conv, 6, "groups", 1)
    conv.args = (x, conv.args[1], bias, stride, sides, dilations, groups)
    conv.kwargs = {}
    conv.target = _NAMED[conv.target]  # type: ignore[index]


def _padded(conv: Node, totals: Sequence[int]) -> Node:
    """A padding in front of ``conv``: half of the zeros before, the last axis first."""
    amounts = [n for total in reversed(totals) for n in (total // 2, total - total // 2)]
    return writer_in_module(conv).call(_aten.pad.default, conv.args[0], amounts)


def _zeros(conv: Node) -> list[int]:
    """How many along each axis, both sides together."""
    kernel = shape_of(conv.args[1])[2:]
    if argument(conv, 4, "padding", "valid") == "valid":
        return [0] * len(kernel)
    return [d * (k - 1) for d, k in zip(_dilations(conv), kernel, strict=True)]


def _dilations(conv: Node) -> list[int]:
    rank = len(shape_of(conv.args[1])) - 2
    given = [int(n) for n in argument(conv, 5, "dilation", [1])]
    return given * rank if len(given) == 1 else given
