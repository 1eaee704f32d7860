"""The result of pruning: zeros of each layer, as JSON values for a checkpoint and a page."""

from __future__ import annotations

from typing import Any

from torch import nn

from tinyml.models.pruning.plan import PruningPlan


def zeros_by_layer(module: nn.Module, plan: PruningPlan) -> list[dict[str, Any]]:
    """``name``, ``shape``, ``weights``, ``zeros``, ``block`` of convolutions and linear layers."""
    blocks = {layer.weight: layer.block for layer in plan.layers.layers}
    return [
        {
            "name": name,
            "shape": list(child.weight.shape),
            "weights": child.weight.numel(),
            "zeros": int((child.weight == 0).sum()),
            "block": blocks.get(f"{name}.weight", 1),
        }
        for name, child in module.named_modules()
        if isinstance(child, nn.Conv2d | nn.Linear)
    ]


def pruning_facts(module: nn.Module, plan: PruningPlan) -> dict[str, Any]:
    """The method, the share of zeros over the layers that have any, and all ``layers``."""
    settings, layers = plan.settings, zeros_by_layer(module, plan)
    pruned = [row for row in layers if row["zeros"]]
    total = sum(row["weights"] for row in pruned)
    return {
        "method": settings.method,
        "sparsity": sum(row["zeros"] for row in pruned) / total if total else 0.0,
        "blocks": sorted({layer.block for layer in plan.layers.layers}),
        "block_axis": settings.block_axis,
        "layers": layers,
    }
