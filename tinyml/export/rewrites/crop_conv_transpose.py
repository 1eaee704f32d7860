"""``conv_transpose(x, padding, output_padding)`` -> a slice of ``conv_transpose(x)``.

A transposed convolution's padding cuts its answer, its output_padding cuts less on the
right, or adds places that only the bias reaches. So: the whole answer without either,
then a slice; where output_padding is longer than padding, zeros and the bias behind it.
A dilated kernel becomes a longer one with zeros between its taps.

Refused where nothing is cut, added or dilated, where an answer of stride times the input
is padded alike on both sides, which every format can express, and for a dilated kernel
that is not constant.

LiteRT's converter cannot write the others, or writes what its runtime refuses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.fx import Node

from tinyml.export.capture.constants import add_constant, value_of
from tinyml.export.nodes import Writer, argument, shape_of
from tinyml.export.outcome import Outcome

FIRES_IN = "autoencoder"

_aten = torch.ops.aten
_TRANSPOSED = {_aten.conv_transpose1d.default: 1, _aten.conv_transpose2d.input: 2}


@dataclass(frozen=True, slots=True)
class _Options:
    """Of a transposed convolution, one value for each axis."""

    stride: list[int]
    padding: list[int]
    added: list[int]
    dilation: list[int]


def crop_conv_transpose(program: ExportedProgram, stages: dict[str, str | None]) -> Outcome:
    """Write transposed convolutions anew."""
    found = [node for node in program.graph.nodes if node.target in _TRANSPOSED]
    refused = {node.name: why for node in found if (why := _why_not(program, node))}
    for node in found:
        if node.name not in refused:
            _replace(program, node)
    return Outcome(len(found) - len(refused), refused)


def _why_not(program: ExportedProgram, node: Node) -> str:
    options = _options(node)
    if any(n != 1 for n in options.dilation):
        is_constant = value_of(program, node.args[1]) is not None
        return "" if is_constant else "its dilated kernel is not constant"
    if not any(options.padding) and not any(options.added):
        return "nothing is cut, added or dilated"
    kernel = shape_of(node.args[1])[2:]
    sides = zip(kernel, options.stride, options.padding, strict=True)
    even = not any(options.added) and all(k - s == 2 * p for k, s, p in sides)
    return "it is padded alike on both sides" if even else ""


def _options(node: Any) -> _Options:
    rank = _TRANSPOSED[node.target]
    names = (("stride", 3, 1), ("padding", 4, 0), ("output_padding", 5, 0), ("dilation", 7, 1))
    lists = []
    for name, index, default in names:
        given = [int(n) for n in argument(node, index, name, [default])]
        lists.append(given * rank if len(given) == 1 else given)
    return _Options(*lists)


def _replace(program: ExportedProgram, node: Any) -> None:
    options, rank, write = _options(node), _TRANSPOSED[node.target], Writer(program, node)
    x, weight = node.args[:2]
    bias = argument(node, 2, "bias", None)
    groups = argument(node, 6, "groups", 1)
    if any(n != 1 for n in options.dilation):
        value = value_of(program, weight)
        assert value is not None
        weight = add_constant(program, f"{node.name}_weight", _spread(value, options.dilation))
    short = [n - p for n, p in zip(options.added, options.padding, strict=True)]
    late = bias is not None and any(n > 0 for n in short)
    zeros, ones = [0] * rank, [1] * rank
    whole = write.call(
        node.target, x, weight, None if late else bias, options.stride, zeros, zeros, groups, ones
    )
    y = _cut(write, whole, options.padding, shape_of(node))
    if any(n > 0 for n in short):
        ends = [m for n in reversed(short) for m in (0, max(n, 0))]
        y = write.call(_aten.pad.default, y, ends)
    if late:
        shaped = write.call(_aten.view.default, bias, [1, -1, *ones])
        y = write.call(_aten.add.Tensor, y, shaped)
    write.replace(y)


def _spread(weight: Tensor, dilation: list[int]) -> Tensor:
    """The kernel with zeros between its taps."""
    sizes = [d * (k - 1) + 1 for d, k in zip(dilation, weight.shape[2:], strict=True)]
    wide = weight.new_zeros(*weight.shape[:2], *sizes)
    every: Any = (..., *(slice(None, None, step) for step in dilation))
    wide[every] = weight
    return wide


def _cut(write: Writer, whole: Node, padding: list[int], wanted: tuple[int, ...]) -> Node:
    for axis, start in enumerate(padding, 2):
        length = shape_of(whole)[axis]
        end = min(start + wanted[axis], length)
        if (start, end) != (0, length):
            whole = write.call(_aten.slice.Tensor, whole, axis, start, end)
    return whole
