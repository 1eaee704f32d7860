"""What is known of a quantized file when it is judged: arrays in, statistics out. Runs nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tinyml.core.diagnosis import Confusion
from tinyml.core.quant_params import step
from tinyml.core.spec import Array
from tinyml.export.quantization.plan import QuantPlan
from tinyml.export.quantization.precision import find_precision
from tinyml.export.quantization.ranges import Histogram, Range
from tinyml.modelfile.graph import Operator

BINS = 2048


@dataclass(frozen=True, slots=True)
class WeightedLayer:
    """A product with a stored weight.

    name      its stage, or its output where it is part of none
    product   what it gives before the activation; ``output`` where there is none
    source    the tensor that it reads; ``output``: the one that it makes, behind an activation
    peaks     [output channels] largest magnitude of the weights of each
    norms     [input channels] root of the sum of squares of the weights that read each;
              empty where the file's axes do not tell
    """

    name: str
    source: str
    output: str
    peaks: Array
    norms: Array
    product: str = ""


@dataclass(frozen=True, slots=True)
class Bias:
    """What correcting biases would do, as mean squares of what the file gives.

    signal     in float32
    error      of the integers
    weights    the error of weights in eight bits alone; ``corrected``: with their biases corrected
    shifts     layer, by its product -> [channels] what rounding its weights adds to the mean
    """

    signal: float
    error: float
    weights: float
    corrected: float
    shifts: Mapping[str, Array]


@dataclass(slots=True)
class Watched:
    """The values of one tensor by channel, as samples pass; ``axis`` is the channels'.

    ``planned`` is what its integers span, ``dtype`` what they are; ``outside``: how many values
    are not within.
    """

    axis: int
    planned: Range
    dtype: str = "int8"
    values: int = 0
    low: Array = field(default_factory=lambda: np.zeros(0))
    high: Array = field(default_factory=lambda: np.zeros(0))
    total: Array = field(default_factory=lambda: np.zeros(0))
    squares: Array = field(default_factory=lambda: np.zeros(0))
    outside: Array = field(default_factory=lambda: np.zeros(0))
    counts: Array = field(default_factory=lambda: np.zeros(BINS, np.int64))

    def see(self, value: Array) -> None:
        """Take in the tensor of one sample."""
        rows = np.moveaxis(value, self.axis, -1).reshape(-1, value.shape[self.axis])
        rows = rows.astype(np.float64)
        if not self.values:
            self.low, self.high = rows.min(0), rows.max(0)
            self.total, self.squares, self.outside = (np.zeros(rows.shape[1]) for _ in range(3))
        self.values += rows.size
        self.low, self.high = np.minimum(self.low, rows.min(0)), np.maximum(self.high, rows.max(0))
        self.total, self.squares = self.total + rows.sum(0), self.squares + (rows**2).sum(0)
        # Half a step beyond the end is rounded, not cut.
        low, high = self.planned.low - self.step / 2, self.planned.high + self.step / 2
        self.outside = self.outside + ((rows < low) | (rows > high)).sum(0)
        if self.planned.low < self.planned.high:
            between = (self.planned.low, self.planned.high)
            self.counts = self.counts + np.histogram(rows, BINS, between)[0]

    @property
    def step(self) -> float:
        """One quantization step."""
        return step(self.dtype, self.planned.low, self.planned.high)

    @property
    def span(self) -> Array:
        """[channels] between the smallest and the largest value."""
        return np.asarray(self.high - self.low)

    @property
    def spread(self) -> Array:
        """[channels] standard deviation."""
        count = max(self.values // max(len(self.total), 1), 1)
        mean = self.total / count
        return np.sqrt(np.maximum(self.squares / count - mean**2, 0.0))

    @property
    def histogram(self) -> Histogram:
        """Of the values within the planned range."""
        return Histogram(self.planned.low, self.planned.high, self.counts)


@dataclass(frozen=True, slots=True)
class Evidence:
    """One file, its plan, and what was seen of it.

    tensors              tensor -> its values in the float32 file; only those that become
                         integers of a fixed range and have channels
    stages               tensor -> the innermost stage that makes it
    classes              predicted classes, where the outputs are such
    bias                 what correcting biases would do, where that can be asked for
    joins                operators of the float32 file that concatenate or stack
    """

    plan: QuantPlan
    layers: Sequence[WeightedLayer] = ()
    tensors: Mapping[str, Watched] = field(default_factory=dict)
    stages: Mapping[str, str] = field(default_factory=dict)
    classes: Confusion | None = None
    bias: Bias | None = None
    joins: Sequence[Operator] = ()

    def stage(self, tensor: str) -> str:
        """What a person knows ``tensor`` by."""
        return self.stages.get(tensor, tensor)

    @property
    def eight_bits(self) -> bool:
        """Whether activations have eight bits, not sixteen."""
        return find_precision(self.plan.precision).activations != "int16"

    @property
    def quantized(self) -> list[WeightedLayer]:
        """The layers that become integers."""
        return [layer for layer in self.layers if layer.output not in self.plan.kept]
