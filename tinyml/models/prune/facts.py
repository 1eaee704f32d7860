"""What pruning left: zeros per layer, as plain values for a checkpoint and a page."""

from __future__ import annotations

from typing import Any

from torch import nn

from tinyml.recipe import PruneRecipe


def zeros_by_layer(module: nn.Module) -> list[dict[str, Any]]:
    """``name``, ``shape``, ``weights`` and ``zeros`` of every convolution and linear layer."""
    return [
        {
            "name": name,
            "shape": list(child.weight.shape),
            "weights": child.weight.numel(),
            "zeros": int((child.weight == 0).sum()),
        }
        for name, child in module.named_modules()
        if isinstance(child, nn.Conv2d | nn.Linear)
    ]


def pruning_facts(module: nn.Module, asked: PruneRecipe) -> dict[str, Any] | None:
    """The method and its ``layers``; ``None`` for a dense training."""
    if not asked.method:
        return None
    layers = zeros_by_layer(module)
    pruned = [row for row in layers if row["zeros"]]
    total = sum(row["weights"] for row in pruned)
    return {
        "method": asked.method,
        "sparsity": sum(row["zeros"] for row in pruned) / total if total else 0.0,
        "block": asked.block,
        "block_axis": asked.block_axis,
        "layers": layers,
    }
