"""``prelu(x, a)`` with one slope for all channels, or ``rrelu(x)`` -> ``leaky_relu(x, a)``.

A PReLU may hold one learned slope, or one a channel that are all alike; both are the same
function as a leaky ReLU. LiteRT's converter writes a PReLU as RELU, MUL, MUL and SUB, and a
leaky ReLU as one operator, which XNNPACK's sparse path takes as well (a SUB or PRELU ends
it); onnxruntime fuses a leaky ReLU into the convolution in front, and no PReLU. No format has
RReLU, whose slope in evaluation is the mean of its two bounds.

Refused when the slope is computed, differs between channels, or is random.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.fx import Node

from tinyml.export.capture.constants import value_of
from tinyml.export.nodes import Writer, argument
from tinyml.export.outcome import Outcome

FIRES_IN = "activations"

_aten = torch.ops.aten


def use_leaky_relu(program: ExportedProgram, stages: dict[str, str | None]) -> Outcome:
    """Replace PReLUs of one slope, and RReLUs."""
    replaced, refused = 0, {}
    for node in list(program.graph.nodes):
        if node.target not in _SLOPES:
            continue
        slope = _SLOPES[node.target](program, node)
        if isinstance(slope, str):
            refused[node.name] = slope
            continue
        write = Writer(program, node)
        write.replace(write.call(_aten.leaky_relu.default, node.args[0], slope))
        replaced += 1
    return Outcome(replaced, refused)


def _one_slope(program: ExportedProgram, node: Node) -> float | str:
    """The slope, or why there is not one."""
    slopes = value_of(program, node.args[1])
    if slopes is None:
        return "its slope is computed"
    if bool((slopes != slopes.flatten()[0]).any()):
        return "its channels have slopes of their own"
    return float(slopes.flatten()[0])


def _mean_slope(program: ExportedProgram, node: Node) -> float | str:
    """Of an RReLU that is not trained."""
    if argument(node, 3, "training", False):
        return "its slope is random"
    lower: float = argument(node, 1, "lower", 1 / 8)
    upper: float = argument(node, 2, "upper", 1 / 3)
    return (lower + upper) / 2


_SLOPES: Mapping[Any, Callable[[ExportedProgram, Node], float | str]] = {
    _aten.prelu.default: _one_slope,
    _aten.rrelu.default: _mean_slope,
}
