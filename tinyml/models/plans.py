"""EfficientNet's base network as numbers, scaled and counted without building it (no torch).

A `NetworkPlan` is what a scaling rule makes of the base: `tinyml.models.efficientnet` builds the
network from it. Multiply-accumulates are those of convolutions and linear layers, as
`tinyml.models.cost` counts them in the built network; a test holds the two equal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

STEM_CHANNELS, TOP_CHANNELS = 32, 1280
STEM_KERNEL = 3
# The squeeze keeps a quarter of the channels that enter the block, before its expansion.
SQUEEZE_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class Group:
    """Blocks of one shape: the first has the stride and changes the channels."""

    channels: int
    repeats: int
    kernel: int
    stride: int
    expansion: int


@dataclass(frozen=True, slots=True)
class NetworkPlan:
    """Channels after the stem and the top, and the groups between."""

    stem: int
    groups: tuple[Group, ...]
    top: int


# arXiv 1905.11946, table 1.
BASE = NetworkPlan(
    STEM_CHANNELS,
    (
        Group(16, 1, 3, 1, 1),
        Group(24, 2, 3, 2, 6),
        Group(40, 2, 5, 2, 6),
        Group(80, 3, 3, 2, 6),
        Group(112, 3, 5, 1, 6),
        Group(192, 4, 5, 2, 6),
        Group(320, 1, 3, 1, 6),
    ),
    TOP_CHANNELS,
)


def in_eights(channels: float) -> int:
    """The multiple of 8 next to ``channels``, never below 90% of it (1801.04381's code)."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * channels else nearest + 8


def scaled_groups(width: float, repeats: Callable[[int], int]) -> tuple[Group, ...]:
    """The base's groups with their channels times ``width`` and ``repeats`` of each."""
    return tuple(
        replace(group, channels=in_eights(group.channels * width), repeats=repeats(group.repeats))
        for group in BASE.groups
    )


def squeezed_channels(inputs: int) -> int:
    """Channels inside the squeeze of a block with ``inputs`` channels."""
    return round(inputs * SQUEEZE_SHARE)


@dataclass(frozen=True, slots=True)
class _Block:
    """One block as its layers see it: image sides before and after the depthwise one."""

    inputs: int
    outputs: int
    kernel: int
    expansion: int
    side_in: int
    side_out: int

    @property
    def inner(self) -> int:
        return self.inputs * self.expansion

    @property
    def macs(self) -> int:
        expand = self.inputs * self.inner * self.side_in**2 if self.expansion > 1 else 0
        depthwise = self.inner * self.kernel**2 * self.side_out**2
        squeeze = 2 * self.inner * squeezed_channels(self.inputs)
        return expand + depthwise + squeeze + self.inner * self.outputs * self.side_out**2

    @property
    def parameters(self) -> int:
        """Each batch normalization has two a channel, each layer of the squeeze a bias."""
        squeezed = squeezed_channels(self.inputs)
        expand = self.inputs * self.inner + 2 * self.inner if self.expansion > 1 else 0
        depthwise = self.inner * self.kernel**2 + 2 * self.inner
        squeeze = 2 * self.inner * squeezed + squeezed + self.inner
        return expand + depthwise + squeeze + self.inner * self.outputs + 2 * self.outputs


def count_plan_macs(plan: NetworkPlan, side: int, classes: int) -> int:
    """Multiply-accumulates of one image of ``side`` pixels."""
    half = _halved(side)
    blocks = list(_blocks(plan, half))
    last = blocks[-1]
    stem = 3 * plan.stem * STEM_KERNEL**2 * half**2
    top = last.outputs * plan.top * last.side_out**2
    return stem + sum(block.macs for block in blocks) + top + plan.top * classes


def count_plan_parameters(plan: NetworkPlan, classes: int) -> int:
    """Trained values."""
    blocks = list(_blocks(plan, 1))
    stem = 3 * plan.stem * STEM_KERNEL**2 + 2 * plan.stem
    top = blocks[-1].outputs * plan.top + 2 * plan.top
    head = plan.top * classes + classes
    return stem + sum(block.parameters for block in blocks) + top + head


def _blocks(plan: NetworkPlan, side: int) -> Iterator[_Block]:
    channels = plan.stem
    for group in plan.groups:
        for position in range(group.repeats):
            after = _halved(side) if group.stride == 2 and position == 0 else side
            yield _Block(channels, group.channels, group.kernel, group.expansion, side, after)
            channels, side = group.channels, after


def _halved(side: int) -> int:
    """A convolution of stride 2, padded by half its kernel, rounds up."""
    return (side + 1) // 2
