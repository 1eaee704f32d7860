"""What pruning left: zeros per layer, as plain values for a checkpoint and a page."""

from __future__ import annotations

from typing import Any

from torch import nn

from tinyml.core.checkpoint import Checkpoint
from tinyml.models.prune.prune import Plan


def zeros_by_layer(module: nn.Module, chosen: Plan) -> list[dict[str, Any]]:
    """``name``, ``shape``, ``weights``, ``zeros``, ``block`` of convolutions and linear layers."""
    blocks = {own.weight: own.block for own in chosen.layers.layers}
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


def pruning_facts(
    module: nn.Module, chosen: Plan | None, parent: Checkpoint | None = None
) -> dict[str, Any] | None:
    """The method and its ``layers``; ``None`` for a dense training.

    Without a plan the zeros, and so the facts, are those of ``parent``.
    """
    if chosen is None:
        return parent.facts.get("pruning") if parent else None
    asked, layers = chosen.asked, zeros_by_layer(module, chosen)
    pruned = [row for row in layers if row["zeros"]]
    total = sum(row["weights"] for row in pruned)
    return {
        "method": asked.method,
        "sparsity": sum(row["zeros"] for row in pruned) / total if total else 0.0,
        "blocks": sorted({own.block for own in chosen.layers.layers}),
        "block_axis": asked.block_axis,
        "layers": layers,
    }
