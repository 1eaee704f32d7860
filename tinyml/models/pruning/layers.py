"""Which layers of a module are pruned, to which share, in which blocks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Literal

from torch import Tensor, nn

from tinyml.core.errors import InputError, RecipeError
from tinyml.core.recipe import PruneRecipe
from tinyml.models.protocol import LayerSparsity
from tinyml.models.pruning.mask import Masks, block_scores, check_block, expand, lowest

POINTWISE, ALL, EVERY = "pointwise", "all", "every"


@dataclass(frozen=True, slots=True)
class PrunedLayer:
    """One layer to prune: its parameter's name, the final share of zeros, its blocks.

    ``exponent`` below 1 prunes it slower: of its weights (1 - share) ** exponent stay.
    """

    weight: str
    share: float
    block: int = 1
    axis: str = "output"
    exponent: float = 1.0

    def zeros(self, done: float) -> float:
        """Share of zeros at ``done`` (0 to 1) of the way."""
        return 1.0 - math.pow(1.0 - self.share * done, self.exponent)


@dataclass(frozen=True, slots=True)
class PrunedLayers:
    """All layers to prune; ``global`` ranks their blocks together, all shares being equal."""

    layers: tuple[PrunedLayer, ...]
    scope: Literal["layer", "global"] = "layer"

    def masks(self, scores: Mapping[str, Tensor], done: float) -> Masks:
        """Masks at ``done`` (0 to 1) of every layer's share, from ``scores`` by weight."""
        blocks = [
            block_scores(scores[layer.weight], layer.block, layer.axis) for layer in self.layers
        ]
        if self.scope == "global":
            total = sum(part.numel() for part in blocks)
            kept = lowest(blocks, round(self.layers[0].zeros(done) * total))
        else:
            kept = [
                lowest([part], round(layer.zeros(done) * part.numel()))[0]
                for part, layer in zip(blocks, self.layers, strict=True)
            ]
        return {
            layer.weight: expand(part, layer.block, layer.axis)
            for layer, part in zip(self.layers, kept, strict=True)
        }


def choose_layers(
    module: nn.Module,
    settings: PruneRecipe,
    default: str,
    preset: Sequence[LayerSparsity] = (),
    last_exponent: float = 1.0,
) -> PrunedLayers:
    """The layers that ``settings`` selects; ``default`` where it names none.

    ``last_exponent`` is the last layer's, where each layer has a share of its own.
    Without a sparsity in ``settings``, a sparse ``preset``'s. Raises `RecipeError` for a
    sparsity outside (0, 1), `InputError` when there is nothing to prune or a block does
    not divide a layer's channels.
    """
    if settings.scope not in ("layer", "global"):
        raise RecipeError(f"[prune] scope '{settings.scope}' is neither layer nor global")
    if preset and not settings.sparsity:
        _check_preset(settings)
        layers = _of_preset(module, preset)
    elif not 0 < settings.sparsity < 1:
        raise RecipeError(
            f"sparsity is {settings.sparsity:g}: above 0 and below 1",
            hint="0.9 leaves one weight in ten",
        )
    else:
        names = _named(module, settings.layers or default)
        layers = [
            PrunedLayer(n, settings.sparsity, settings.block, settings.block_axis) for n in names
        ]
        last = f"{list(_candidates(module))[-1]}.weight" if layers else ""
        if last in names and settings.scope == "layer":
            layers[-1] = replace(layers[-1], exponent=last_exponent)
    if not layers:
        raise InputError(
            f"there is no layer to prune among '{settings.layers or default}'",
            hint="--layers all takes every convolution and linear layer but the first and last",
        )
    weights = dict(module.named_parameters())
    for layer in layers:
        check_block(
            layer.weight.removesuffix(".weight"), weights[layer.weight], layer.block, layer.axis
        )
    return PrunedLayers(tuple(layers), "global" if settings.scope == "global" else "layer")


def _check_preset(settings: PruneRecipe) -> None:
    """A sparse preset chooses layers and blocks by itself, each with a share of its own."""
    default = PruneRecipe()
    for name in ("block", "block_axis", "layers", "scope"):
        if getattr(settings, name) != getattr(default, name):
            raise RecipeError(
                f"[prune] {name} is set by the sparse preset",
                hint="remove it, or give a sparsity and choose all of it",
            )


def _of_preset(module: nn.Module, preset: Sequence[LayerSparsity]) -> list[PrunedLayer]:
    found = []
    for name in _candidates(module):
        rule = next((r for r in preset if fnmatchcase(name, r.layers)), None)
        if rule is not None and rule.share > 0:
            found.append(PrunedLayer(f"{name}.weight", rule.share, rule.block))
    return found


def _named(module: nn.Module, which: str) -> list[str]:
    candidates = _candidates(module)
    if which == POINTWISE:
        chosen = [n for n, m in candidates.items() if isinstance(m, nn.Conv2d) and _pointwise(m)]
    elif which == EVERY:
        chosen = list(candidates)
    elif which == ALL:
        chosen = list(candidates)[1:-1]
    else:
        chosen = [name for name in candidates if fnmatchcase(name, which)]
    return [f"{name}.weight" for name in chosen]


def _candidates(module: nn.Module) -> dict[str, nn.Module]:
    """Convolutions and linear layers in order; depthwise ones have too few weights to share."""
    return {
        name: child
        for name, child in module.named_modules()
        if isinstance(child, nn.Linear) or (isinstance(child, nn.Conv2d) and not _depthwise(child))
    }


def _pointwise(layer: nn.Conv2d) -> bool:
    return layer.kernel_size == (1, 1) and layer.groups == 1


def _depthwise(layer: nn.Conv2d) -> bool:
    return layer.groups > 1 and layer.groups == layer.in_channels
