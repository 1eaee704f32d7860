"""Integers that err to one side: rounding the weights shifts the mean of what layers give.

A channel's weights err by (W_q - W) x, whose mean is not zero where x has one, and the few
weights of a depthwise filter do not average it out. The layers behind read it as signal
(Nagel et al. 2019, section 4). Told only where correcting pays: the float32 file with rounded
weights answers so much better with its biases corrected that the integers would.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tinyml.core.diagnosis import Finding
from tinyml.core.finite import is_finite
from tinyml.export.quantization.findings.evidence import Bias, Evidence, WeightedLayer

# Of the power of the integers' error: without it the answers have 1.8 dB more.
SHARE = 1 / 3
# Of the signal's power: integers that leave 30 dB of the answers have no need of it.
ERROR = 1e-3
FIX = "`rounding=adaptive`, or take it from the biases alone: `correct_bias`"


def biased_error(evidence: Evidence) -> Iterator[Finding]:
    """One finding for the file; its node is the layer that is shifted most."""
    found = evidence.bias
    if found is None or found.error <= ERROR * found.signal:
        return
    if not is_finite((found.signal, found.error, found.weights, found.corrected)):
        return  # no bias makes an output NaN
    share = (found.weights - found.corrected) / found.error
    if share <= SHARE:
        return
    was, alone, then = (
        f"{_db(found.signal, noise):.1f}" for noise in (found.error, found.weights, found.corrected)
    )
    cost = (
        f"rounding weights shifts the means of layers, this one's most: {min(share, 1.0):.0%} of "
        f"the error of the outputs, whose SQNR is {was} dB; rounded weights alone leave {alone}, "
        f"with corrected biases {then}"
    )
    yield Finding("biased_error", _most_shifted(evidence, found), cost, FIX)


def _most_shifted(evidence: Evidence, found: Bias) -> str:
    """By the shift next to the standard deviation of what the layer gives."""

    def shifted(layer: WeightedLayer) -> float:
        own = evidence.tensors.get(layer.output)
        if own is None or not np.any(own.spread):
            return 0.0
        power = float(np.sum(found.shifts[layer.product] ** 2))
        return power / float(np.sum(own.spread**2))

    return max((own for own in evidence.layers if own.product in found.shifts), key=shifted).name


def _db(signal: float, error: float) -> float:
    return float(10 * np.log10(signal / max(error, float(np.finfo(np.float32).tiny))))
