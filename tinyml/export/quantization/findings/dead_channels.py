"""Channels that have the same value wherever one looks: multiplied, stored, and of no use.

They do not come from the integers, but those that read the ranking should know them.
Tensors of one value a channel and sample (behind a pool) are left out: a few samples do
not show that a channel never changes.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tinyml.core.diagnosis import Finding
from tinyml.export.quantization.findings.evidence import Evidence, Watched

LEAST_VALUES = 256
FIX = "a narrower layer without them computes the same; tinyml prune, or look at its training"


def dead_channels(evidence: Evidence) -> Iterator[Finding]:
    """One finding for all of them; its node is the layer that has most."""
    made = {layer.output for layer in evidence.layers}
    dead = {name: _dead(own) for name, own in evidence.tensors.items() if name in made}
    dead = {name: count for name, count in dead.items() if count}
    if not dead:
        return
    most = max(dead, key=lambda name: dead[name])
    total = sum(len(evidence.tensors[name].low) for name in dead)
    cost = f"{sum(dead.values())} of {total} channels in {len(dead)} layers never change, "
    cost += f"{dead[most]} of {len(evidence.tensors[most].low)} here"
    yield Finding("dead_channels", evidence.stage(most), cost, FIX)


def _dead(own: Watched) -> int:
    channels = len(own.low)
    if own.values < LEAST_VALUES * channels:
        return 0
    return int(np.count_nonzero(own.span == 0))
