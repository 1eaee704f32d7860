"""Which layer costs the accuracy: each quantized alone, each alone left in float32. Runs nothing.

A layer is the innermost stage that an operator is part of, the activation behind a
convolution the convolution's; what no stage holds is called
after its first operator.
"""

from __future__ import annotations

from collections.abc import Mapping

from tinyml.core.diagnosis import SensitivityAnalysis, decibels, ranked
from tinyml.modelfile.graph import Graph


def layers(
    graph: Graph, owners: Mapping[str, str], kept: Mapping[str, str]
) -> dict[str, tuple[str, ...]]:
    """Layer -> its operators by name, those that could be quantized, in the order run."""
    found: dict[str, tuple[str, ...]] = {}
    behind = graph.fused_activations()
    for operator in graph.operators:
        if operator.name not in kept:
            front = behind.get(operator.name, operator.name)
            layer = owners.get(front, front)
            found[layer] = (*found.get(layer, ()), operator.name)
    return found


def lines(found: SensitivityAnalysis, shown: int = 8) -> list[str]:
    """For a person: the ranking, next to what all layers together come to."""
    together = decibels(found.whole_db)
    text = [f"all layers quantized: {together}; one at a time, the most sensitive first:"]
    for layer in ranked(found)[:shown]:
        alone, rest = decibels(layer.alone_db), decibels(layer.without_db)
        text.append(f"  {layer.layer}: alone {alone}; all the others without it {rest}")
    return text
