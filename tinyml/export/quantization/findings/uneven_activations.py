"""Activations whose channels differ so far that one scale cannot serve them all.

No scale of the weights fixes it: an activation has one for all channels. A channel is
lost when all its values lie within two steps. It counts by what it is to the layer that
reads it, its standard deviation times the norm of the weights on it: a channel that no
one listens to may be lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from tinyml.core.diagnosis import Finding
from tinyml.core.spec import Array
from tinyml.export.quantization.findings.evidence import Evidence, Watched, WeightedLayer

LOST_STEPS = 2.0
# Of the reader's signal power: at 1% the answer has 20 dB left, whatever else is done.
SHARE = 0.01


def uneven_activations(evidence: Evidence) -> Iterator[Finding]:
    """One finding for a tensor and the layer that reads it, the costliest first.

    A reader in float32 reads the same integers.
    """
    if not evidence.eight_bits:
        return
    found = []
    for layer in evidence.layers:
        own = evidence.tensors.get(layer.source)
        if own is None or len(layer.norms) != len(own.low):
            continue
        lost = (own.span > 0) & (own.span < LOST_STEPS * own.step)
        share = _share(own, layer, lost)
        if share > SHARE:
            found.append((share, layer, own, int(np.count_nonzero(lost))))
    makers = {layer.output: layer.name for layer in evidence.layers}
    for share, layer, own, lost_count in sorted(found, key=lambda row: -row[0]):
        yield _finding(evidence, makers, share, layer, own, lost_count)


def _share(own: Watched, layer: WeightedLayer, lost: Array) -> float:
    power = (own.spread * layer.norms) ** 2
    return float(power[lost].sum() / power.sum()) if power.sum() else 0.0


def _finding(
    evidence: Evidence,
    makers: Mapping[str, str],
    share: float,
    layer: WeightedLayer,
    own: Watched,
    lost: int,
) -> Finding:
    alive = own.span[own.span > 0]
    made = makers.get(layer.source, evidence.stage(layer.source))
    cost = (
        f"its channels differ 1 : {alive.max() / alive.min():,.0f}; {lost} of {len(own.span)} "
        f"lie within {LOST_STEPS:g} steps and are {share:.0%} of what {layer.name} reads of it"
    )
    keep = [f"`keep_float={name}`" for name in (made, layer.name) if name in evidence.plan.stages]
    fix = f"equalize them: `equalize`; or {' '.join(keep) or 'keep both in float32'}, as "
    return Finding("uneven_activations", made, cost, f"{fix}`auto_precision` does; or w8a16")
