"""What a training found, as checkpoints and bundles record it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tinyml.core.errors import CheckpointError
from tinyml.core.image_processor import ImageProcessor
from tinyml.core.processor import Processor
from tinyml.core.typed_json import OMIT_NONE, Variants

# One epoch: ``epoch``, ``loss``, and what the procedure adds (``validation_loss``, ``sparsity``).
Epoch = Mapping[str, int | float]
Counts = tuple[tuple[int, ...], ...]
Recalls = Mapping[str, float | None]


class Metrics(Variants):
    """Base of `SubjectMetrics` and `ImageMetrics`; JSON tells them by the key ``images``."""

    __slots__ = ()

    @classmethod
    def variant(cls, data: Mapping[str, Any]) -> type[Any]:
        return ImageMetrics if "images" in data else SubjectMetrics


@dataclass(frozen=True, slots=True)
class SubjectMetrics(Metrics):
    """How good the labels of subjects are.

    persons          how many subjects
    uar              unweighted average recall
    auc_worst_label  area under the ROC curve of the first label, which is the worst, against
                     the others; ``None`` without both
    recall           by label; ``None`` when nobody has it
    confusion        counts [truth][prediction]
    """

    persons: int
    weighted_accuracy: float
    uar: float
    auc_worst_label: float | None
    recall: Recalls
    confusion: Counts


@dataclass(frozen=True, slots=True)
class ImageMetrics(Metrics):
    """How good the labels of images are.

    images     how many
    interval   95%, of the images alone: another seed's training spreads wider
    recall     by label; ``None`` when no image has it
    confusion  counts [truth][prediction]
    """

    images: int
    accuracy: float
    interval: tuple[float, float]
    recall: Recalls
    confusion: Counts


@dataclass(frozen=True, slots=True)
class Split:
    """Subjects of the validation set; ``sha256``: digest of both parts."""

    validation: tuple[str, ...]
    sha256: str


@dataclass(frozen=True, slots=True)
class LayerZeros:
    """A convolution or linear layer: how many of its weights are zero."""

    name: str
    shape: tuple[int, ...]
    weights: int
    zeros: int
    block: int

    @property
    def share(self) -> float:
        """Of the weights."""
        return self.zeros / self.weights


@dataclass(frozen=True, slots=True)
class PruningRecord:
    """The method, the share of zeros over the layers that have any, and all layers."""

    method: str
    sparsity: float
    blocks: tuple[int, ...]
    block_axis: str
    layers: tuple[LayerZeros, ...]


@dataclass(frozen=True, slots=True)
class TrainingRecord:
    """One training.

    data_sha256    digest of the data set
    validation     metrics of what training did not see
    curve, curves  epochs of the last part, and of all parts
    left_out       recordings that could not be used
    split          of recordings alone: images have a test part of their own
    parent_sha256  digest of the weights that it began with
    """

    data_set: str
    data_sha256: str
    threads: int
    instruction_set: str
    parameters: int
    validation: Metrics
    curve: tuple[Epoch, ...]
    curves: Mapping[str, tuple[Epoch, ...]]
    warnings: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    split: Split | None = field(default=None, metadata={OMIT_NONE: True})
    pruning: PruningRecord | None = None
    parent_sha256: str | None = None

    @property
    def validation_subjects(self) -> frozenset[str]:
        """Subjects that training did not see; `CheckpointError` where none are recorded."""
        if self.split is None:
            raise CheckpointError("the training record has no 'split': its subjects are not known")
        return frozenset(self.split.validation)


def check_record(processor: Processor | None, record: TrainingRecord | None) -> None:
    """`CheckpointError` unless ``record`` is of images or of recordings, as ``processor`` is."""
    if record is None or processor is None:
        return
    of_images = isinstance(processor, ImageProcessor)
    if of_images != isinstance(record.validation, ImageMetrics):
        wanted = "images" if of_images else "recordings"
        raise CheckpointError(f"the training record is not of {wanted}, as the processor is")
    if not of_images:
        _ = record.validation_subjects
