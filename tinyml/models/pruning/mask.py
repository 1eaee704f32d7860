"""Masks: which weights stay. Blocks are a property of the mask, not of the method.

A weight is [outputs, inputs, ...]. ``block`` neighbours along the output channels (or the
input channels) share one fate, so that a kernel loads their index once. A block is scored
by the root of its weights' squared scores. Channels that a block does not divide are
refused: a shorter last block would compete with a smaller norm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from tinyml.core.errors import InputError

Masks = dict[str, Tensor]
BLOCKS = (1, 2, 4)
AXES = ("output", "input")
# Integers as wide as a weight: a mask is laid over its bits.
BITS = {torch.float32: torch.int32, torch.float64: torch.int64}


def block_scores(scores: Tensor, block: int, axis: str) -> Tensor:
    """[outputs, inputs, ...] -> one score per block, [outputs / block, inputs, ...]."""
    split = _blocked(scores, block, axis)
    return split.square().sum(dim=_inside(axis)).sqrt()


def expand(kept: Tensor, block: int, axis: str) -> Tensor:
    """One truth per block -> one per weight."""
    return kept.repeat_interleave(block, dim=AXES.index(axis))


def lowest(scores: Sequence[Tensor], zeros: int) -> list[Tensor]:
    """Truths shaped like ``scores``: false for the ``zeros`` lowest of all together.

    Of equal scores the first in order go, so the count is exact.
    """
    flat = torch.cat([part.flatten() for part in scores])
    kept = torch.ones(flat.numel(), dtype=torch.bool)
    kept[torch.argsort(flat, stable=True)[:zeros]] = False
    parts = torch.split(kept, [part.numel() for part in scores])
    return [part.reshape(score.shape) for part, score in zip(parts, scores, strict=True)]


def apply(masks: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> None:
    """Make the masked of ``weights``, float32 or float64, exact zeros, in place.

    By their bits, for every step does this twice: ``masked_fill_`` takes eight times as long,
    and a product would leave negative zeros.
    """
    with torch.no_grad():
        for name, mask in masks.items():
            bits = BITS[weights[name].dtype]
            weights[name].view(bits).bitwise_and_(mask.to(bits).neg_())


def sparsity(masks: Mapping[str, Tensor]) -> float:
    """Share of zeros over all masks together."""
    total = sum(mask.numel() for mask in masks.values())
    return sum(int((~mask).sum()) for mask in masks.values()) / total


def random_like(masks: Mapping[str, Tensor], block: int, axis: str, seed: int) -> Masks:
    """The same number of zeros in each layer, in the same blocks, at random places."""
    generator = torch.Generator().manual_seed(seed)
    return {name: _shuffled(mask, block, axis, generator) for name, mask in masks.items()}


def _shuffled(mask: Tensor, block: int, axis: str, generator: torch.Generator) -> Tensor:
    kept = _blocked(mask, block, axis).select(_inside(axis), 0)
    order = torch.randperm(kept.numel(), generator=generator)
    return expand(kept.flatten()[order].reshape(kept.shape), block, axis)


def check_block(name: str, weight: Tensor, block: int, axis: str) -> None:
    """Raise `InputError` unless ``block`` is known and divides the layer's channels."""
    if block not in BLOCKS or axis not in AXES:
        raise InputError(
            f"a block of {block} along the {axis} channels is not known",
            hint=f"blocks: {', '.join(map(str, BLOCKS))}; axes: {', '.join(AXES)}",
        )
    channels = weight.shape[AXES.index(axis)]
    if channels % block:
        raise InputError(
            f"layer '{name}' has {channels} {axis} channels: no multiple of the block of {block}",
            hint="choose a smaller --block, or --layers without this one",
        )


def _blocked(values: Tensor, block: int, axis: str) -> Tensor:
    at = AXES.index(axis)
    return values.reshape(*values.shape[:at], -1, block, *values.shape[at + 1 :])


def _inside(axis: str) -> int:
    return AXES.index(axis) + 1
