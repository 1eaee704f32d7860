"""Weights of one scale whose channels differ by more than eight bits can tell apart.

A channel is lost when its largest weight is below two steps of the layer's largest: three
levels are left of it. Channels without any weight are pruned, not lost.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tinyml.core.diagnosis import Finding
from tinyml.export.quantization.findings.evidence import Evidence

# Symmetric: from -127 to 127.
LEVELS = 127
LOST_STEPS = 2.0
FIX = (
    "give each channel its scale: `weight_scales=per-channel` (ONNX's w8-dynamic cannot), or "
    "equalize them: `equalize`"
)


def uneven_weights(evidence: Evidence) -> Iterator[Finding]:
    """One finding a layer, the most uneven first; silent where each channel has its scale."""
    if evidence.plan.weight_scales != "per-tensor":
        return
    found = []
    for layer in evidence.quantized:
        own = layer.peaks[layer.peaks > 0]
        lost = int(np.count_nonzero(own < LOST_STEPS * own.max(initial=0.0) / LEVELS))
        if lost:
            found.append((own.max() / own.min(), layer.name, lost, len(own)))
    for ratio, name, lost, count in sorted(found, reverse=True):
        cost = f"its channels' largest weights differ 1 : {ratio:,.0f}, one scale leaves {lost} "
        cost += f"of {count} channels three levels or fewer"
        yield Finding("uneven_weights", name, cost, FIX)
