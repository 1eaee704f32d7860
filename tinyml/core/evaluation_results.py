"""What a model's outputs on labelled data show: numbers with intervals, curves, single samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tinyml.core.spec import Array


@dataclass(frozen=True, slots=True)
class Estimate:
    """``value`` from ``count`` samples with its 95% interval, all fractions of 1."""

    name: str
    value: float
    low: float
    high: float
    count: int


@dataclass(frozen=True, slots=True)
class RocCurve:
    """One class against all others: shares of them above each threshold, rising from 0 to 1."""

    false_positive: tuple[float, ...]
    true_positive: tuple[float, ...]
    area: Estimate


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Samples of similar probability: its mean, and how many of them had the label."""

    probability: float
    right: Estimate


@dataclass(frozen=True, slots=True)
class Picked:
    """One sample to look at or listen to.

    pixels   uint8 [side, side, channels] of an image
    samples  [time] at ``rate_hz`` of a recording, full scale 1
    """

    name: str
    truth: str
    prediction: str
    probabilities: Mapping[str, float]
    pixels: Array | None = None
    samples: Array | None = None
    rate_hz: int = 0

    @property
    def is_right(self) -> bool:
        """Whether the prediction is the sample's label."""
        return self.truth == self.prediction


@dataclass(frozen=True, slots=True)
class Walk:
    """What the stages of a model file make of the input of ``sample``.

    given   the input [time] or [channels, height, width]
    stages  stage -> its value without the batch; ``None``: fused away
    """

    sample: Picked
    given: Array
    stages: Mapping[str, Array | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EvaluationResults:
    """Outputs of one engine on samples that training did not see.

    unit       what ``count`` counts: ``images`` or ``subjects``
    metrics    of all; ``recalls``: of each label that occurs
    wrong      predictions that are wrong, the surest first; ``right``: the least sure first
    confusion  counts [truth][prediction]
    expected_calibration_error  mean distance of probability and share, weighted by samples
    same_data  whether training saw this data set
    """

    count: int
    labels: tuple[str, ...]
    recalls: tuple[Estimate, ...]
    confusion: tuple[tuple[int, ...], ...]
    roc: tuple[RocCurve, ...]
    reliability: tuple[ReliabilityBin, ...]
    expected_calibration_error: float
    engine: str = ""
    data_set: str = ""
    unit: str = "images"
    metrics: tuple[Estimate, ...] = ()
    same_data: bool = True
    wrong: tuple[Picked, ...] = ()
    right: tuple[Picked, ...] = ()
    walk: Walk | None = None
