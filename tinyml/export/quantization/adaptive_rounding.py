"""Weights in eight bits that change what their layer gives least: arrays in, arrays out.

Nearest rounding makes the error of each weight smallest; what counts is the error of the sums.
With e the row of W_q - W of one output, x the inputs that it is multiplied with and the mean of
e x taken from the bias, what is left on the samples is

    E[(e x - E[e x])^2] = e C e^T,    C the covariance of x

(the layer's local loss of Nagel et al. 2020, arXiv 2004.10568, section 3.2, which keeps E[x x^T]
instead: the mean is not in the bias there). It is lowered one weight at a time, each taken to the
integer that is best while the others stay (Zhang et al. 2024, arXiv 2403.07134), from nearest
rounding on, until none moves. Scales stay those of the largest weights, and zeros stay zeros.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from tinyml.core.spec import Array
from tinyml.export.quantization.weight_rounding import LEVELS, rounded

# Inputs of one output: the covariance of more takes too much memory and time.
MOST_INPUTS = 2048
SWEEPS = 20
Pads = tuple[tuple[int, int], tuple[int, int]] | Literal["same"]


@dataclass(frozen=True, slots=True)
class Window:
    """What a convolution's output reads: rows, columns; ``pads``: zeros before and after."""

    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    pads: Pads


@dataclass(frozen=True, slots=True)
class Product:
    """A layer of a file, named after its ``output``; ``source``: the tensor that it reads.

    weight    as the file holds it, float32
    axes      of ``weight``, in the order outputs, inputs (of a group), rows, columns
    groups    of channels, each multiplied apart
    channels  the axis of ``source`` that holds them
    window    ``None`` where the product is a matrix's
    """

    output: str
    source: str
    weight: Array
    axes: tuple[int, ...]
    groups: int
    channels: int
    window: Window | None

    @property
    def rows(self) -> Array:
        """[groups, outputs, inputs] of the weight."""
        return self._ordered(self.weight)

    @property
    def inputs(self) -> int:
        """How many numbers one output is a sum over."""
        return int(self.weight.size) // int(self.weight.shape[self.axes[0]])

    def scales(self, scales: str) -> Array:
        """[groups, outputs, 1] of its integers, as the quantizers choose them."""
        one = scales == "per-tensor"
        found = rounded(self.weight, None if one else self.axes[0])[1]
        return self._ordered(np.broadcast_to(found, self.weight.shape))[..., :1]

    def _ordered(self, values: Array) -> Array:
        outputs = self.weight.shape[self.axes[0]]
        return values.transpose(self.axes).reshape(self.groups, outputs // self.groups, -1)

    def restored(self, rows: Array) -> Array:
        """``rows`` [groups, outputs, inputs] as the file holds them."""
        shape = [self.weight.shape[axis] for axis in self.axes]
        made = rows.reshape(shape).transpose(np.argsort(self.axes))
        return np.ascontiguousarray(made, np.float32)


@dataclass(slots=True)
class Moments:
    """Mean and covariance of what the outputs of ``product`` are sums over."""

    product: Product
    count: int = 0
    total: Array = field(default_factory=lambda: np.zeros(()))
    squares: Array = field(default_factory=lambda: np.zeros(()))

    def see(self, source: Array) -> None:
        """Take in one sample's value of the product's source."""
        seen = patches(source, self.product)
        self.count += seen.shape[1]
        self.total = self.total + seen.sum(axis=1)
        self.squares = self.squares + seen.transpose(0, 2, 1) @ seen

    @property
    def mean(self) -> Array:
        """[groups, inputs]"""
        return np.asarray(self.total / self.count)

    @property
    def covariance(self) -> Array:
        """[groups, inputs, inputs]"""
        mean = self.mean
        return np.asarray(self.squares / self.count - mean[:, :, None] * mean[:, None, :])


def patches(source: Array, product: Product) -> Array:
    """[groups, positions, inputs] float64: what each output at each position is a sum over."""
    values = np.moveaxis(source, product.channels, 1).astype(np.float64)
    if product.window is None:
        flat = np.moveaxis(values, 1, -1).reshape(1, -1, values.shape[1])
        return np.asarray(flat)
    values = np.pad(values, ((0, 0), (0, 0), *_pads(product.window, values.shape[2:])))
    reach = _reach(product.window)
    seen = np.lib.stride_tricks.sliding_window_view(values, reach, axis=(2, 3))
    (down, right), (rows, columns) = product.window.strides, product.window.dilations
    seen = seen[:, :, ::down, ::right, ::rows, ::columns]
    count, channels, *rest = seen.shape
    parts = seen.reshape(count, product.groups, channels // product.groups, *rest)
    parts = parts.transpose(1, 0, 3, 4, 2, 5, 6)
    return np.asarray(parts.reshape(product.groups, count * rest[0] * rest[1], -1))


def adapted(product: Product, moments: Moments, scales: str) -> tuple[Array, Array]:
    """(weight as the file holds it, [outputs] the mean that its error adds to each)."""
    rows, scale = product.rows.astype(np.float64), product.scales(scales).astype(np.float64)
    chosen = lowered(rows, scale, moments.covariance) * scale
    shift = ((chosen - rows) * moments.mean[:, None, :]).sum(axis=2).ravel()
    return product.restored(chosen), np.asarray(shift, np.float32)


def lowered(rows: Array, scale: Array, covariance: Array) -> Array:
    """Integers of ``rows`` [groups, outputs, inputs] whose e C e^T no single one can lower.

    ``scale`` [groups, outputs, 1]. Those of largest magnitude stay, since the scale is theirs,
    and zeros; at most `SWEEPS` times through all.
    """
    integers = np.clip(np.rint(rows / scale), -LEVELS, LEVELS)
    fixed = (np.abs(integers) == LEVELS) | (rows == 0)
    slope = (integers * scale - rows) @ covariance
    for _ in range(SWEEPS):
        moved = False
        for place in range(rows.shape[2]):
            curve = covariance[:, None, place, place]
            step = np.divide(
                -slope[:, :, place],
                curve * scale[:, :, 0],
                out=np.zeros(rows.shape[:2]),
                where=(curve > 0) & ~fixed[:, :, place],
            )
            before = integers[:, :, place].copy()
            # Never to the ends: one more there would be the largest.
            after = np.clip(before + np.rint(step), 1 - LEVELS, LEVELS - 1)
            integers[:, :, place] = np.where(fixed[:, :, place], before, after)
            change = (integers[:, :, place] - before) * scale[:, :, 0]
            group, output = np.nonzero(change)
            if group.size:
                moved = True
                slope[group, output] += change[group, output, None] * covariance[group, place]
        if not moved:
            break
    return integers


def _reach(window: Window) -> tuple[int, int]:
    rows, columns = (
        (size - 1) * apart + 1 for size, apart in zip(window.kernel, window.dilations, strict=True)
    )
    return rows, columns


def _pads(window: Window, sizes: tuple[int, ...]) -> list[tuple[int, int]]:
    """Zeros around rows and columns; ``same``: as TensorFlow spreads them, the odd one behind."""
    if window.pads != "same":
        return list(window.pads)
    found = []
    for size, reach, stride in zip(sizes, _reach(window), window.strides, strict=True):
        missing = max((-(-size // stride) - 1) * stride + reach - size, 0)
        found.append((missing // 2, missing - missing // 2))
    return found
