"""The data that judges an export: windows of validation subjects, or test images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from tinyml.core.checkpoint import Checkpoint
from tinyml.core.events import Progress, Report
from tinyml.core.image_processor import Bytes, ImageProcessor
from tinyml.core.processor import Floats, Processor
from tinyml.core.recording_processor import RecordingProcessor, recording_processor
from tinyml.core.spec import Array, Signature
from tinyml.models.data.recordings import subject_labels
from tinyml.models.training.predict import by_recording, by_subject, cut_windows
from tinyml.pipeline.outputs.data import check_same, image_set, recording_set

# Enough that a share of labels that moved is known to a tenth of a percent.
MOST_IMAGES = 2000


class EvaluationSet(Protocol):
    """Inputs of the graph, and how its outputs become labels of ``unit``."""

    @property
    def unit(self) -> str:
        """What is labelled: ``persons`` or ``images``."""

    @property
    def processor(self) -> Processor:
        """What surrounds the graph."""

    @property
    def truths(self) -> Mapping[str, int]:
        """Name of a subject or image -> its label."""

    def __len__(self) -> int:
        """How many inputs there are."""

    def inputs(self, start: int, end: int) -> Floats:
        """Some of the graph's inputs, along a first axis."""

    def save(self, path: Path) -> None:
        """Write all inputs for the child that asks PyTorch; see `read_inputs`."""

    def of_unit(self, probabilities: Floats) -> dict[str, Floats]:
        """[inputs, classes] -> name of a subject or image -> [classes]."""


@dataclass(frozen=True, slots=True)
class Recordings:
    """The windows of every validation recording, cut once.

    ``windows`` [n, samples]; ``counts`` says how many belong to each recording in turn;
    ``subjects`` is whose each recording is, ``truths`` what each subject is.
    """

    processor: RecordingProcessor
    windows: Floats
    counts: tuple[int, ...]
    subjects: tuple[str, ...]
    truths: Mapping[str, int]
    unit: str = "persons"

    def __len__(self) -> int:
        return len(self.windows)

    def inputs(self, start: int, end: int) -> Floats:
        return self.windows[start:end]

    def save(self, path: Path) -> None:
        np.save(path, self.windows)

    def of_unit(self, probabilities: Floats) -> dict[str, Floats]:
        recordings = by_recording(self.processor, probabilities, self.counts)
        return by_subject(self.processor, self.subjects, recordings)


@dataclass(frozen=True, slots=True)
class Images:
    """``pixels`` [n, side, side, channels] of the test images at ``places`` in their set.

    ``labels`` [n] of each.
    """

    processor: ImageProcessor
    pixels: Bytes
    places: tuple[int, ...]
    labels: tuple[int, ...]
    unit: str = "images"

    @property
    def truths(self) -> Mapping[str, int]:
        return dict(zip(self._names(), self.labels, strict=True))

    def __len__(self) -> int:
        return len(self.pixels)

    def inputs(self, start: int, end: int) -> Floats:
        return self.processor.preprocess(self.pixels[start:end])

    def save(self, path: Path) -> None:
        np.save(path, self.pixels)

    def of_unit(self, probabilities: Floats) -> dict[str, Floats]:
        return dict(zip(self._names(), probabilities, strict=True))

    def _names(self) -> list[str]:
        return [f"test image {place}" for place in self.places]


def read_inputs(path: Path, processor: Processor, batch: int) -> Iterator[Floats]:
    """The inputs that `EvaluationSet.save` wrote, in batches that are made when they are taken."""
    saved = np.load(path, mmap_mode="r")
    for start in range(0, len(saved), batch):
        part = np.array(saved[start : start + batch])
        yield processor.preprocess(part) if isinstance(processor, ImageProcessor) else part


def real_cases(
    evaluation_set: EvaluationSet, signature: Signature, count: int
) -> dict[str, dict[str, Array]]:
    """``count`` parity cases, spread over the evaluation set."""
    name = signature.inputs[0].name
    chosen = np.linspace(0, len(evaluation_set) - 1, count).astype(int)
    return {
        f"validation-{i}": {name: evaluation_set.inputs(i, i + 1)} for i in dict.fromkeys(chosen)
    }


def load_evaluation_set(saved: Checkpoint, data: Path | None, report: Report) -> EvaluationSet:
    """What ``saved`` was not trained on; `DataError` when the data is not there, or another."""
    if isinstance(saved.processor, ImageProcessor):
        return _images(saved, saved.processor, data, report)
    return _recordings(saved, data, report)


def _images(
    saved: Checkpoint, processor: ImageProcessor, data: Path | None, report: Report
) -> Images:
    loaded = image_set(saved.recipe, data, processor, report)
    check_same(saved, loaded, "check parity alone with `without_data`")
    count = len(loaded.test.labels)
    spread = np.linspace(0, count - 1, min(count, MOST_IMAGES)).astype(int)
    pixels, labels = np.array(loaded.test.images[spread]), loaded.test.labels[spread]
    return Images(processor, pixels, tuple(map(int, spread)), tuple(map(int, labels)))


def _recordings(saved: Checkpoint, data: Path | None, report: Report) -> Recordings:
    subjects = set(saved.facts["split"]["validation"])
    loaded = recording_set(saved.recipe, data)
    check_same(saved, loaded, "check parity alone with `without_data`")
    left_out = set(saved.facts["left_out"])
    found = [r for r in loaded.recordings if r.subject in subjects and r.id not in left_out]
    processor = recording_processor(saved.processor)
    windows: list[Floats] = []
    for done, recording in enumerate(found, 1):
        windows.append(cut_windows(processor, recording))
        report(Progress("validation recordings", done, len(found)))
    return Recordings(
        processor=processor,
        windows=np.concatenate(windows),
        counts=tuple(len(part) for part in windows),
        subjects=tuple(recording.subject for recording in found),
        truths=subject_labels(loaded),
    )
