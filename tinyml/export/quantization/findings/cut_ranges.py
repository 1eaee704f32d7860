"""Values that the integers cannot reach: they all become the largest or smallest there is.

Either the method cut them off, or calibration never saw such values.
"""

from __future__ import annotations

from collections.abc import Iterator

from tinyml.core.diagnosis import Finding
from tinyml.export.quantization.findings.evidence import Evidence, Watched

# `percentile` cuts 0.01% on purpose; a channel may have more, for the tensor's sake.
SHARE = 0.01
CHANNEL_SHARE = 0.1
UNSEEN = "calibrate on data like the inputs in use: `calibration`, `calibration_samples`"
CUT = "`ranges=min-max` cuts nothing off"


def cut_ranges(evidence: Evidence) -> Iterator[Finding]:
    """One finding a tensor, the most cut first."""
    found = [(_share(own), name, own) for name, own in evidence.tensors.items() if _is_cut(own)]
    for share, name, own in sorted(found, key=lambda row: -row[0]):
        ends = f"[{own.planned.low:.3g}, {own.planned.high:.3g}]"
        seen = f"[{own.low.min():.3g}, {own.high.max():.3g}]"
        worst = own.outside.max() * len(own.outside) / own.values
        cost = f"{share:.1%} of its values lie outside of {ends}, up to {worst:.0%} of a channel: "
        cost += f"they are seen within {seen}"
        fix = UNSEEN if evidence.plan.ranges == "min-max" else CUT
        yield Finding("cut_ranges", evidence.stage(name), cost, fix)


def _share(own: Watched) -> float:
    return float(own.outside.sum() / own.values)


def _is_cut(own: Watched) -> bool:
    channel = own.outside.max() * len(own.outside) / own.values
    return _share(own) > SHARE or channel > CHANNEL_SHARE
