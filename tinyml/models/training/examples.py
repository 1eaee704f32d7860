"""The windows of a whole set as features, computed once and kept in memory."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from tinyml.core.errors import DataError
from tinyml.core.events import Progress, Report
from tinyml.core.processor import Floats
from tinyml.core.recording_processor import RecordingProcessor
from tinyml.models.data.recordings import RecordingSet, of_subjects
from tinyml.models.protocol import Classifier, RecordingClassifier
from tinyml.models.training.fit import EVALUATION_BATCH
from tinyml.models.training.predict import by_recording, by_subject


@dataclass(frozen=True, slots=True)
class Examples:
    """Every usable recording, cut and transformed.

    data      the set without the recordings that cannot be cut
    features  [windows, ...], what the module's fixed front end makes of each window
    labels    [windows], each its recording's
    starts    [recordings + 1], where each recording's windows begin
    left_out  ids of the recordings that cannot be cut, and ``warnings`` why
    """

    data: RecordingSet
    features: Tensor
    labels: Tensor
    starts: tuple[int, ...]
    left_out: tuple[str, ...]
    warnings: tuple[str, ...]

    def windows(self, subjects: Collection[str]) -> Tensor:
        """Indices of the windows of ``subjects``."""
        ranges = [self._range(index) for index in of_subjects(self.data, subjects)]
        return torch.cat(ranges) if ranges else torch.zeros(0, dtype=torch.int64)

    def _range(self, index: int) -> Tensor:
        return torch.arange(self.starts[index], self.starts[index + 1])

    def outputs(
        self, module: Classifier, processor: RecordingProcessor, subjects: Collection[str]
    ) -> Floats:
        """Probabilities [recordings, classes] of the recordings of ``subjects``, in order."""
        logits = classify(module, self.features, self.windows(subjects))
        probabilities = torch.softmax(logits, dim=1).numpy()
        chosen = of_subjects(self.data, subjects)
        counts = [self.starts[index + 1] - self.starts[index] for index in chosen]
        return np.stack(by_recording(processor, probabilities, counts))

    def of_subjects(
        self, processor: RecordingProcessor, subjects: Collection[str], outputs: Floats
    ) -> dict[str, Floats]:
        """`outputs` of the recordings of ``subjects`` -> subject -> [classes]."""
        chosen = of_subjects(self.data, subjects)
        owners = [self.data.recordings[index].subject for index in chosen]
        return by_subject(processor, owners, list(outputs))


def classify(module: Classifier, features: Tensor, chosen: Tensor) -> Tensor:
    """Logits [n, classes] of the windows ``chosen``, in eval mode."""
    module.eval()
    with torch.no_grad():
        parts = [
            module.classify(features[batch]) for batch in torch.split(chosen, EVALUATION_BATCH)
        ]
    return torch.cat(parts)


def compute_examples(
    module: RecordingClassifier,
    processor: RecordingProcessor,
    data: RecordingSet,
    report: Report,
) -> Examples:
    """Load, cut and transform every recording of ``data``.

    A recording that cannot be cut (too short, silent) is left out with a warning; raises
    `DataError` when none can, or when a file is broken.
    """
    parts: list[Tensor] = []
    refused: dict[int, str] = {}
    module.eval()
    for index, recording in enumerate(data.recordings):
        loaded = recording.load()
        try:
            windows = processor.preprocess(*loaded)
        except DataError as error:
            refused[index] = f"recording {recording.id}: {error.message}"
        else:
            with torch.no_grad():
                parts.append(module.features(torch.from_numpy(windows)))
        _progress(report, index + 1, len(data.recordings))
    if not parts:
        reason = next(iter(refused.values()), "it has none")
        raise DataError(f"no recording of '{data.name}' can be used: {reason}")
    kept = tuple(r for i, r in enumerate(data.recordings) if i not in refused)
    counts = [len(part) for part in parts]
    labels = np.repeat([recording.label for recording in kept], counts)
    return Examples(
        data=replace(data, recordings=kept),
        features=torch.cat(parts),
        labels=torch.from_numpy(labels.astype(np.int64)),
        starts=(0, *np.cumsum(counts).tolist()),
        left_out=tuple(data.recordings[index].id for index in refused),
        warnings=tuple(f"left out: {message}" for message in refused.values()),
    )


def _progress(report: Report, done: int, total: int) -> None:
    report(Progress("features", done, total))
