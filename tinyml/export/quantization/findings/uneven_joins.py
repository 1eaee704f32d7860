"""Concatenated operands of different size: one scale for all of them leaves the small few steps.

What joins an output, or operands that differ more than 32 times, stays in float32 by the
plan. This rule reports what lies between: an operand that keeps fewer than 32 of 255 steps.
"""

from __future__ import annotations

from collections.abc import Iterator

from tinyml.core.diagnosis import Finding
from tinyml.core.quant_params import STEPS as STEPS_OF
from tinyml.export.quantization.findings.evidence import Evidence
from tinyml.export.quantization.integer_kernels import excluded
from tinyml.export.quantization.joins import uneven

STEPS = STEPS_OF["int8"]
LEAST_STEPS = 32.0


def uneven_joins(evidence: Evidence) -> Iterator[Finding]:
    """One finding a join, the most uneven first."""
    if not evidence.eight_bits:
        return
    ranges = evidence.plan.quantized
    ratios = [(uneven(own, ranges), own) for own in evidence.joins]
    for ratio, own in sorted(ratios, key=lambda row: -row[0]):
        if own.name in excluded(evidence.plan.kept) or STEPS / ratio >= LEAST_STEPS:
            continue
        stage = evidence.stage(own.name)
        cost = (
            f"it joins operands whose ranges differ 1 : {ratio:.0f}; the smallest keeps "
            f"{STEPS / ratio:.0f} of {STEPS} steps"
        )
        keep = f"`keep_float={stage}`" if stage in evidence.plan.stages else "keep it in float32"
        yield Finding(
            "uneven_joins", stage, cost, f"{keep}, scale the operands alike before, or w8a16"
        )
