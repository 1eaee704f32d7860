"""The result of pruning: zeros of each layer."""

from __future__ import annotations

from torch import nn

from tinyml.core.training_record import LayerZeros, PruningRecord
from tinyml.models.pruning.plan import PruningPlan


def zeros_by_layer(module: nn.Module, plan: PruningPlan) -> tuple[LayerZeros, ...]:
    """Of every convolution and linear layer."""
    blocks = {layer.weight: layer.block for layer in plan.layers.layers}
    return tuple(
        LayerZeros(
            name=name,
            shape=tuple(child.weight.shape),
            weights=child.weight.numel(),
            zeros=int((child.weight == 0).sum()),
            block=blocks.get(f"{name}.weight", 1),
        )
        for name, child in module.named_modules()
        if isinstance(child, nn.Conv2d | nn.Linear)
    )


def pruning_record(module: nn.Module, plan: PruningPlan) -> PruningRecord:
    """What a checkpoint records of the zeros in the trained ``module``."""
    settings, layers = plan.settings, zeros_by_layer(module, plan)
    pruned = [row for row in layers if row.zeros]
    total = sum(row.weights for row in pruned)
    return PruningRecord(
        method=settings.method,
        sparsity=sum(row.zeros for row in pruned) / total if total else 0.0,
        blocks=tuple(sorted({layer.block for layer in plan.layers.layers})),
        block_axis=settings.block_axis,
        layers=layers,
    )
