"""``batch_norm(conv(x, w, b))`` -> ``conv(x, w', b')``.

With scale = gamma / sqrt(running_var + eps), per output channel:
w' = w * scale, b' = (b - running_mean) * scale + beta; computed in float64.

Refused when the normalisation uses the batch's statistics, when the convolution's own
result has another user, when its weights are no constants, and for transposed
convolutions, whose first weight axis is not the output channel. The new convolution takes
the normalisation's name and its place among the stages; a stage that was the bare convolution is
fused away. As a layer it is shown under the convolution's name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.fx import Node

from tinyml.export.capture.constants import add_constant, value_of
from tinyml.export.capture.module_stack import show_as, submodule
from tinyml.export.outcome import Outcome

FIRES_IN = "ds-cnn"

_aten = torch.ops.aten
_CONVOLUTIONS = (
    _aten.conv1d.default,
    _aten.conv1d.padding,
    _aten.conv2d.default,
    _aten.conv2d.padding,
    _aten.conv3d.default,
    _aten.conv3d.padding,
)


@dataclass(frozen=True, slots=True)
class _Match:
    conv: Node
    weight: Tensor
    bias: Tensor


def fold_batchnorm(program: ExportedProgram, stages: dict[str, str | None]) -> Outcome:
    """Fold normalisations into the convolutions before them."""
    folded, refused = 0, {}
    for norm in list(program.graph.nodes):
        if norm.target is not _aten.batch_norm.default:
            continue
        match = _match(program, norm)
        if isinstance(match, str):
            refused[norm.name] = match
            continue
        _replace(program, norm, match)
        stages.update({s: None for s, held in stages.items() if held == match.conv.name})
        folded += 1
    return Outcome(folded, refused)


def _match(program: ExportedProgram, norm: Node) -> _Match | str:
    """What the convolution becomes, or why it stays."""
    if norm.args[5]:
        return "it uses the statistics of the batch"
    conv = norm.args[0]
    if not isinstance(conv, Node) or conv.target not in _CONVOLUTIONS:
        return "no convolution is before it"
    if len(conv.users) != 1:
        return "the convolution has another user"
    weight, bias = value_of(program, conv.args[1]), value_of(program, _argument(conv, 2))
    statistics = [value_of(program, norm.args[i]) for i in (3, 4)]
    if weight is None or (bias is None and _argument(conv, 2) is not None) or None in statistics:
        return "a weight or a statistic is not constant"
    scale, shift = _affine(program, norm)
    wide = weight.double() * scale.reshape(-1, *[1] * (weight.dim() - 1))
    offset = shift if bias is None else bias.double() * scale + shift
    return _Match(conv, wide.to(weight.dtype), offset.to(weight.dtype))


def _affine(program: ExportedProgram, norm: Node) -> tuple[Tensor, Tensor]:
    """The normalisation as y = x * scale + shift, in float64."""
    gamma, beta, mean, variance = (value_of(program, norm.args[i]) for i in range(1, 5))
    assert mean is not None
    assert variance is not None
    scale = torch.rsqrt(variance.double() + _epsilon(norm))
    scale = scale if gamma is None else scale * gamma.double()
    shift = -mean.double() * scale
    return scale, shift if beta is None else shift + beta.double()


def _replace(program: ExportedProgram, norm: Node, match: _Match) -> None:
    name, conv = norm.name, match.conv
    weight = add_constant(program, f"{name}_weight", match.weight)
    bias = add_constant(program, f"{name}_bias", match.bias)
    with program.graph.inserting_before(norm):
        new = program.graph.call_function(
            conv.target, (conv.args[0], weight, bias, *conv.args[3:]), dict(conv.kwargs)
        )
    new.meta = dict(norm.meta)
    show_as(new, submodule(conv))
    norm.replace_all_uses_with(new)
    program.graph.erase_node(norm)
    program.graph.erase_node(conv)
    new.name = name


def _epsilon(norm: Node) -> float:
    epsilon = norm.args[7]
    assert isinstance(epsilon, float)
    return epsilon


def _argument(node: Node, index: int) -> Any:
    return node.args[index] if len(node.args) > index else None
