"""Maxima and sums over windows of images and volumes, in operators that LiteRT's converter has."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor
from torch.nn import functional as F

Sizes = int | Sequence[int]


def dilated_max_pool(
    x: Tensor,
    kernel: Sizes,
    stride: Sizes = (),
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
) -> Tensor:
    """Of the last two axes, one after the other: the largest of shifted slices."""
    sizes = zip((-2, -1), *(map(two, (kernel, stride or kernel, padding, dilation))), strict=True)
    for axis, length, step, pad, gap in sizes:
        x = _maximum_along(x, axis, length, step, pad, gap, ceil_mode)
    return x


def _maximum_along(
    x: Tensor, axis: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool
) -> Tensor:
    length, span = x.shape[axis], dilation * (kernel - 1) + 1
    room = length + 2 * padding - span
    count = (-(-room // stride) if ceil_mode else room // stride) + 1
    if ceil_mode and (count - 1) * stride >= length + padding:
        count -= 1  # a window that starts behind the values
    behind = max(0, (count - 1) * stride + span - length - padding)
    if padding or behind:
        x = F.pad(x, (0, 0) * (-axis - 1) + (padding, behind), value=-math.inf)
    reach = (count - 1) * stride + 1
    starts = [dilation * tap for tap in range(kernel)]
    parts = [torch.ops.aten.slice.Tensor(x, axis, i, i + reach, stride) for i in starts]
    largest: Tensor = reduce(torch.maximum, parts)
    return largest


def fold(
    x: Tensor, size: Sizes, kernel: Sizes, dilation: Sizes, padding: Sizes, stride: Sizes
) -> Tensor:
    """Patches ``[..., C * k, L]`` -> their sum, ``[..., C, H, W]``.

    A transposed convolution whose every weight puts one place of a patch where it belongs.
    """
    taps, gaps, pads, steps = map(two, (kernel, dilation, padding, stride))
    many = [
        (whole + 2 * pad - gap * (tap - 1) - 1) // step + 1
        for whole, pad, gap, tap, step in zip(two(size), pads, gaps, taps, steps, strict=True)
    ]
    places = math.prod(taps)
    own = torch.arange(places)
    weight = (own.unsqueeze(1) == own).to(x.dtype).reshape(places, 1, *taps)
    parts = x.reshape(-1, places, *many)
    summed = F.conv_transpose2d(parts, weight, stride=steps, dilation=gaps)
    channels = x.shape[-2] // places
    return _fitted(summed, two(size), pads).reshape(*x.shape[:-2], channels, *two(size))


def conv_transpose3d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
) -> Tensor:
    """``[N, C, D, H, W]``: of each plane for each depth of the kernel, then summed along depth."""
    steps, pads, more, gaps = map(three, (stride, padding, output_padding, dilation))
    batch, channels, deep, high, wide = x.shape
    sizes = [
        (length - 1) * step - 2 * pad + gap * (taps - 1) + extra + 1
        for length, step, pad, gap, taps, extra in zip(
            x.shape[2:], steps, pads, gaps, weight.shape[2:], more, strict=True
        )
    ]
    planes = x.reshape(batch, channels, deep, high * wide).transpose(1, 2)
    planes = planes.reshape(batch * deep, channels, high, wide)
    taps = []
    for tap in range(weight.shape[2]):
        made = F.conv_transpose2d(
            planes, weight[:, :, tap], None, steps[1:], groups=groups, dilation=gaps[1:]
        )
        made = _fitted(made, sizes[1:], pads[1:])
        taps.append(_spread(made.reshape(batch, deep, -1), steps[0], tap * gaps[0]))
    whole = max(pads[0] + sizes[0], *(own.shape[1] for own in taps))
    summed = reduce(torch.add, [F.pad(own, (0, 0, 0, whole - own.shape[1])) for own in taps])
    summed = summed[:, pads[0] : pads[0] + sizes[0]]
    out = summed.reshape(batch, sizes[0], -1, sizes[1] * sizes[2]).transpose(1, 2)
    out = out.reshape(batch, -1, *sizes)
    return out if bias is None else out + bias.reshape(-1, 1, 1, 1)


def _spread(x: Tensor, step: int, start: int) -> Tensor:
    """``[N, D, M]``: the planes ``step`` apart behind ``start`` others, zeros between them."""
    batch, deep, many = x.shape
    apart = F.pad(x.unsqueeze(2), (0, 0, 0, step - 1)).reshape(batch, deep * step, many)
    return F.pad(apart, (0, 0, start, 0))


def _fitted(x: Tensor, sizes: Sequence[int], padding: Sequence[int]) -> Tensor:
    """The last two axes from ``padding`` on, of ``sizes``: zeros where ``x`` ends before."""
    short = [
        max(0, pad + size - length)
        for pad, size, length in zip(padding, sizes, x.shape[-2:], strict=True)
    ]
    if any(short):
        x = F.pad(x, (0, short[1], 0, short[0]))
    high, wide = (slice(pad, pad + size) for pad, size in zip(padding, sizes, strict=True))
    return x[..., high, wide]


def two(sizes: Sizes) -> list[int]:
    """The size of each of two axes."""
    return _several(sizes, 2)


def three(sizes: Sizes) -> list[int]:
    """The size of each of three axes."""
    return _several(sizes, 3)


def _several(sizes: Sizes, count: int) -> list[int]:
    given = [sizes] if isinstance(sizes, int) else [int(size) for size in sizes]
    return given * count if len(given) == 1 else given
