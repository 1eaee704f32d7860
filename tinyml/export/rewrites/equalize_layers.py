"""``layer2(f(layer1(x)))`` -> the same, channel i divided by s_i in layer1, times s_i in layer2.

Cross-layer equalization, Nagel et al. 2019 (arXiv 1906.04721), equation 11: with r1_i the
largest weight of layer1's output channel i and r2_i that of layer2's input channel i,
s_i = sqrt(r1_i r2_i) / r2_i makes both sqrt(r1_i r2_i). s_i is taken to the next power of
two, so that every product is exact and the answers stay the very same floats; what remains
is a factor of two at most between the two. Repeated until no s_i is left, since a layer in
the middle belongs to two pairs.

``f`` must let a positive factor through: nothing, ReLU, leaky ReLU, pooling, a mean over
pixels. Refused where it does not (ReLU6 cuts at a fixed height, sigmoid and SiLU bend), where
channels are mixed on the way or lie on another axis, where anything between has another
reader or is an output, where a weight is computed or used twice, and where layer2 has
groups of more than one channel. Channels of zeros are left alone. Stages in between hold
scaled values now and are fused away.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.fx import Node

from tinyml.export.capture.constants import value_of
from tinyml.export.nodes import argument, shape_of
from tinyml.export.outcome import Outcome

_aten = torch.ops.aten
_LAYERS = (
    _aten.conv1d.default,
    _aten.conv1d.padding,
    _aten.conv2d.default,
    _aten.conv2d.padding,
    _aten.linear.default,
)
_POINTWISE = (_aten.relu.default, _aten.relu_.default, _aten.leaky_relu.default)
_POOLING = (_aten.max_pool2d.default, _aten.avg_pool2d.default)
_GROUPS = 6
# A pair whose scales are one at last needs about as many rounds as there are pairs in a row.
_ROUNDS = 100


@dataclass(frozen=True, slots=True)
class _Layer:
    """A product and the names under which its weight and bias are stored."""

    node: Node
    weight: str
    bias: str | None
    groups: int


@dataclass(frozen=True, slots=True)
class _Pair:
    first: _Layer
    second: _Layer
    between: tuple[Node, ...]


@dataclass(slots=True)
class _Weights:
    """The program's weights while they are scaled; written back at the end."""

    program: ExportedProgram
    values: dict[str, Tensor] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Tensor:
        if name not in self.values:
            self.values[name] = self.program.state_dict[name].detach().clone()
        return self.values[name]

    def write(self) -> None:
        for name, value in self.values.items():
            self.program.state_dict[name] = torch.nn.Parameter(value, requires_grad=False)


def equalize_layers(program: ExportedProgram, stages: dict[str, str | None]) -> Outcome:
    """Scale pairs of layers; those whose scales are alike already stay without a reason."""
    refused: dict[str, str] = {}
    pairs, weights = list(_pairs(program, refused)), _Weights(program)
    scaled: set[int] = set()
    for _ in range(_ROUNDS):
        found = [place for place, pair in enumerate(pairs) if _equalize(pair, weights)]
        scaled |= set(found)
        if not found:
            break
    weights.write()
    changed = {node.name for place in scaled for node in pairs[place].between}
    stages.update({stage: None for stage, held in stages.items() if held in changed})
    return Outcome(len(scaled), refused)


def _equalize(pair: _Pair, weights: _Weights) -> bool:
    """Scale one pair; whether any channel changed."""
    first, second = weights[pair.first.weight], weights[pair.second.weight]
    made, read = _peaks(first), _peaks(_by_input(second, pair.second.groups))
    ratio = torch.where((made > 0) & (read > 0), made / read, torch.ones_like(made))
    scale = torch.exp2(torch.round(torch.log2(ratio.double().sqrt()))).float()
    if bool((scale == 1).all()):
        return False
    first.div_(scale.reshape(-1, *[1] * (first.dim() - 1)))
    if pair.first.bias is not None:
        weights[pair.first.bias].div_(scale)
    # One channel in, one out: a depthwise weight has its channels first.
    along = [-1, 1] if pair.second.groups > 1 else [1, -1]
    second.mul_(scale.reshape(*along, *[1] * (second.dim() - 2)))
    return True


def _by_input(weight: Tensor, groups: int) -> Tensor:
    return weight if groups > 1 else weight.transpose(0, 1)


def _peaks(weight: Tensor) -> Tensor:
    """[channels] the largest magnitude along the first axis."""
    return weight.abs().flatten(1).amax(1)


def _pairs(program: ExportedProgram, refused: dict[str, str]) -> Iterator[_Pair]:
    """Layers with the next one; ``refused`` gets those without, and why."""
    uses = Counter(n.name for node in program.graph.nodes for n in node.all_input_nodes)
    for node in program.graph.nodes:
        if node.target not in _LAYERS:
            continue
        first = _layer(program, node, uses)
        if first is None:
            refused[node.name] = "its weight or bias is computed or used twice"
            continue
        between = [node]
        reader = _only_reader(node)
        while reader is not None and _lets_through(reader):
            between.append(reader)
            reader = _only_reader(reader)
        if reader is None:
            refused[node.name] = f"'{between[-1].name}' has another reader, or is an output"
            continue
        second = _layer(program, reader, uses)
        if second is None:
            refused[node.name] = f"'{reader.name}' does not let a factor through"
        elif not _match(program, first, second, between):
            refused[node.name] = f"its channels are not those that '{reader.name}' reads"
        else:
            yield _Pair(first, second, tuple(between))


def _only_reader(node: Node) -> Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None


def _lets_through(node: Node) -> bool:
    """Whether a positive factor of a channel comes out as it went in, and of that channel alone."""
    if node.target in (*_POINTWISE, *_POOLING):
        return True
    if node.target is not _aten.mean.dim:
        return False
    axes, rank = argument(node, 1, "dim", None), len(shape_of(node.all_input_nodes[0]))
    return rank > 2 and sorted(axis % rank for axis in axes) == list(range(2, rank))


def _layer(program: ExportedProgram, node: Node, uses: Counter[str]) -> _Layer | None:
    """``node`` as a layer with a stored weight and bias that are its alone."""
    if node.target not in _LAYERS:
        return None
    held = [argument(node, place, name, None) for place, name in ((1, "weight"), (2, "bias"))]
    stored = {spec.arg.name: spec.target for spec in program.graph_signature.input_specs}
    names: list[str | None] = []
    for operand in held:
        if operand is None:
            names.append(None)
            continue
        name = stored.get(operand.name)
        if value_of(program, operand) is None or uses[operand.name] != 1:
            return None
        if name not in program.state_dict:
            return None
        names.append(name)
    groups = 1 if node.target is _aten.linear.default else argument(node, _GROUPS, "groups", 1)
    return _Layer(node, str(names[0]), names[1], int(groups)) if names[0] else None


def _match(program: ExportedProgram, first: _Layer, second: _Layer, between: list[Node]) -> bool:
    """Whether the channels that ``first`` makes are those that ``second`` reads, one by one."""
    if second.node.args[0] is not between[-1]:
        return False
    if not _same_axis(first, second, between):
        return False
    made, read = (program.state_dict[own.weight].shape for own in (first, second))
    if second.groups == 1:
        return int(made[0]) == int(read[1])
    return int(made[0]) == second.groups == int(read[0]) and int(read[1]) == 1


def _same_axis(first: _Layer, second: _Layer, between: list[Node]) -> bool:
    """A linear layer's channels are the last axis, a convolution's the second."""
    into = len(shape_of(between[-1]))
    if first.node.target is _aten.linear.default:
        pointwise = all(node.target in _POINTWISE for node in between[1:])
        return second.node.target is _aten.linear.default and pointwise
    return second.node.target is not _aten.linear.default or into == 2
