"""``conv(pad(x, zeros))`` -> ``conv(x, padding)``.

A convolution pads alike on both sides. A longer left side is taken on the right as well
when the convolution then still takes as many steps: what was added is never read.

Refused when the padding is not of zeros, touches other axes than the convolution's, cuts,
is longer on the right, has another user, or when the added zeros would make one more
step. A stage that was the padded signal is fused away.

Worth it on TFLite, where a padding of its own is computed channels-first, between two
reshapes; and the memory of a padded copy of the signal is saved in every format.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.fx import Node

from tinyml.export.outcome import Outcome

FIRES_IN = "hf-mobilenet-v1"

_aten = torch.ops.aten
_CONVOLUTIONS = {_aten.conv1d.default: 1, _aten.conv2d.default: 2}


def merge_pad_into_conv(program: ExportedProgram, stages: dict[str, str | None]) -> Outcome:
    """Merge paddings into the convolutions behind them."""
    merged, refused = 0, {}
    for conv in list(program.graph.nodes):
        if not _is_padded(conv):
            continue
        padding = _padding(conv)
        if isinstance(padding, str):
            refused[conv.name] = padding
            continue
        pad = conv.args[0]
        defaults = (None, [1] * len(padding), [0] * len(padding))
        arguments = [*conv.args, *defaults[len(conv.args) - 2 :]]
        arguments[0], arguments[4] = pad.args[0], padding
        conv.args = tuple(arguments)
        stages.update({s: None for s, held in stages.items() if held == pad.name})
        program.graph.erase_node(pad)
        merged += 1
    return Outcome(merged, refused)


def _is_padded(conv: Any) -> bool:
    pad: Any = conv.args[0] if conv.target in _CONVOLUTIONS else None
    return isinstance(pad, Node) and pad.target is _aten.pad.default


def _padding(conv: Any) -> list[int] | str:
    """The padding of both, or why ``conv`` cannot do it alone."""
    pad, rank = conv.args[0], _CONVOLUTIONS[conv.target]
    if len(pad.users) != 1:
        return "the padding has another user"
    if not _is_zero(pad):
        return "the padding is not of zeros"
    if _touches_channels(pad, rank):
        return "other axes are padded"
    amounts = _amounts(pad, rank)
    lefts, rights = amounts[-2::-2], amounts[-1::-2]
    if any(not left >= right >= 0 for left, right in zip(lefts, rights, strict=True)):
        return "the padding cuts, or is longer on the right"
    own = _per_axis(conv, 4, 0, rank)
    both = [left + more for left, more in zip(lefts, own, strict=True)]
    same = _steps(conv, both, rank) == list(conv.meta["val"].shape[2:])
    return both if same else "the convolution would take one more step"


def _touches_channels(pad: Any, rank: int) -> bool:
    return len(pad.args[1]) > 2 * rank


def _amounts(pad: Any, rank: int) -> list[int]:
    """Zeros before and after, last axis first, for every axis of the convolution."""
    given = [int(n) for n in pad.args[1]]
    return given + [0] * (2 * rank - len(given))


def _is_zero(pad: Any) -> bool:
    mode = pad.args[2] if len(pad.args) > 2 else "constant"
    return mode == "constant" and not (pad.args[3] if len(pad.args) > 3 else 0)


def _steps(conv: Any, padding: Sequence[int], rank: int) -> list[int]:
    """Output size along each axis with ``padding`` on the unpadded signal."""
    size, kernel = conv.args[0].args[0].meta["val"].shape[2:], conv.args[1].meta["val"].shape[2:]
    stride, dilation = _per_axis(conv, 3, 1, rank), _per_axis(conv, 5, 1, rank)
    return [
        (size[i] + 2 * padding[i] - dilation[i] * (kernel[i] - 1) - 1) // stride[i] + 1
        for i in range(rank)
    ]


def _per_axis(conv: Any, index: int, default: int, rank: int) -> list[int]:
    value = conv.args[index] if len(conv.args) > index else default
    values = list(value) if isinstance(value, Sequence) else [value]
    return [int(n) for n in (values * rank if len(values) == 1 else values)]
