"""Ranges that a few values set: the many others share a fraction of the 255 steps.

Nothing is said of a cut that would cost more than it gains: outliers may be what counts.
"""

from __future__ import annotations

from collections.abc import Iterator

from tinyml.core.diagnosis import Finding
from tinyml.core.quant_params import STEPS
from tinyml.export.quantization.findings.evidence import Evidence, Watched
from tinyml.export.quantization.ranges import Range, central

# So many of the values set the range that is worth having.
KEPT = 0.999
# A quarter of the range: two of eight bits are lost.
SHARE = 0.25
LEAST_VALUES = 4096
FIX = "`ranges=percentile`, mse or entropy; tinyml compares the stages either way"


def outlier_ranges(evidence: Evidence) -> Iterator[Finding]:
    """One finding a tensor, the worst first; only where the range is what was seen."""
    if evidence.plan.ranges != "min-max" or not evidence.eight_bits:
        return
    found = {name: _share(own) for name, own in evidence.tensors.items()}
    for name in sorted(found, key=lambda name: found[name]):
        own, within = evidence.tensors[name], usual(evidence.tensors[name])
        if found[name] > SHARE:
            return
        ends = f"[{own.planned.low:.3g}, {own.planned.high:.3g}]"
        cost = f"its range is {ends}, {KEPT:.1%} of its values lie in [{within.low:.3g}, "
        steps = STEPS[own.dtype]
        cost += f"{within.high:.3g}]: {max(round(steps * found[name]), 1)} of {steps} steps"
        yield Finding("outlier_ranges", evidence.stage(name), cost, FIX)


def usual(own: Watched) -> Range:
    """Where `KEPT` of the values lie, as many left out at either end, zero included."""
    within = central(own.histogram, KEPT)
    return Range(min(within.low, 0.0), max(within.high, 0.0))


def _share(own: Watched) -> float:
    if own.values < LEAST_VALUES or not own.step:
        return 1.0
    within = usual(own)
    return (within.high - within.low) / (own.step * STEPS[own.dtype])
