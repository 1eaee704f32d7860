"""Quantized files that predict far fewer classes than the float32 file.

An average error hides it: the outputs keep their size, and one class takes what was
another's. Counted by the effective number of classes, exp of the entropy of the predicted
ones: 4 for four equal classes, 1 for one alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tinyml.core.diagnosis import Finding
from tinyml.export.quantization.findings.evidence import Evidence

# Fewer samples say nothing of a distribution.
LEAST_SAMPLES = 8
MOVED = 0.1
SHARE = 2 / 3
FIX = "see which layer does it with `explain`; `auto_precision` keeps it in float32"


def collapsed_classes(evidence: Evidence) -> Iterator[Finding]:
    """One finding for the file; its node is the class that takes the others."""
    found = evidence.classes
    if found is None or found.samples < LEAST_SAMPLES or found.moved < MOVED * found.samples:
        return
    before, after = found.histogram(0), found.histogram(1)
    if effective(after) > SHARE * effective(before):
        return
    taker = int(np.argmax(after))
    cost = (
        f"{after[taker]} of {found.samples} samples get this class when quantized, "
        f"{before[taker]} in float; {found.moved} change their class, "
        f"{effective(before):.1f} classes in effect become {effective(after):.1f}"
    )
    yield Finding("collapsed_classes", f"class {found.classes[taker]}", cost, FIX)


def effective(histogram: Sequence[int]) -> float:
    """exp(entropy): how many equally frequent classes would be as mixed."""
    counts = np.asarray([count for count in histogram if count], np.float64)
    shares = counts / max(counts.sum(), 1.0)
    return float(np.exp(-np.sum(shares * np.log(shares))))
