"""Labelled data and what a model says of it: every image, recording and subject."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinyml.core.errors import DataError
from tinyml.core.events import Progress, Report
from tinyml.core.image_processor import Bytes, ImageProcessor
from tinyml.core.processor import Floats, Processor
from tinyml.core.recording_processor import RecordingProcessor
from tinyml.models.data.images import ImageSet, ImageSplit
from tinyml.models.data.recordings import Recording, RecordingSet, subject_labels
from tinyml.models.training.predict import by_subject, predict_recordings

BATCH = 64
# Graph inputs [n, ...] -> [n, classes].
Answer = Callable[[Floats], Floats]


@dataclass(frozen=True, slots=True)
class JudgedRecordings:
    """Recordings with their probabilities, and those of their subjects [subjects, classes]."""

    recordings: tuple[Recording, ...]
    answers: tuple[Floats, ...]
    subjects: tuple[str, ...]
    truths: NDArray[np.int64]
    probabilities: Floats


@dataclass(frozen=True, slots=True)
class JudgedImages:
    """Images at ``places`` of the parts in turn, their labels [n], probabilities [n, classes]."""

    parts: tuple[ImageSplit, ...]
    truths: NDArray[np.int64]
    probabilities: Floats
    places: NDArray[np.int64]

    def pixels(self, index: int) -> Bytes:
        """uint8 [side, side, channels] of one of the images."""
        place = int(self.places[index])
        for part in self.parts:
            if place < len(part.labels):
                return np.array(part.images[place])
            place -= len(part.labels)
        raise IndexError(index)


def judge_recordings(
    answer: Answer,
    processor: RecordingProcessor,
    found: RecordingSet,
    recordings: Sequence[Recording],
    report: Report,
) -> JudgedRecordings:
    """Ask about ``recordings`` of ``found``, of which there are some."""
    answers = predict_recordings(answer, processor, recordings, report)
    subjects = by_subject(processor, [r.subject for r in recordings], answers)
    truths = subject_labels(found)
    return JudgedRecordings(
        recordings=tuple(recordings),
        answers=tuple(answers),
        subjects=tuple(subjects),
        truths=np.array([truths[subject] for subject in subjects], np.int64),
        probabilities=np.stack(list(subjects.values())),
    )


def judge_images(
    answer: Answer,
    processor: ImageProcessor,
    parts: Sequence[ImageSplit],
    report: Report,
    *,
    most: int | None = None,
) -> JudgedImages:
    """Ask about all images of ``parts``, or about ``most`` of them, spread evenly."""
    total = sum(len(own.labels) for own in parts)
    places = np.arange(total)
    if most is not None and total > most:
        places = np.linspace(0, total - 1, most).astype(np.int64)
    answers: list[Floats] = []
    done = 0
    for images in _batches(parts, places):
        answers.append(answer(processor.preprocess(images)))
        done += len(images)
        report(Progress("images", done, len(places)))
    truths = np.concatenate([own.labels for own in parts])[places]
    return JudgedImages(tuple(parts), truths, np.concatenate(answers), places)


def _batches(parts: Sequence[ImageSplit], places: NDArray[np.int64]) -> Iterator[Bytes]:
    start = 0
    for part in parts:
        inside = places[(places >= start) & (places < start + len(part.labels))] - start
        for at in range(0, len(inside), BATCH):
            yield part.images[inside[at : at + BATCH]]
        start += len(part.labels)


def check_labels(processor: Processor, found: ImageSet | RecordingSet) -> None:
    """`DataError` for a set of other labels than the model's."""
    labels = processor.labels
    if found.labels != labels:
        raise DataError(
            f"'{found.name}' has the classes {', '.join(found.labels[:5])} ..., the model "
            f"{', '.join(labels[:5])} ...: they cannot be compared"
        )


def validation_recordings(
    found: RecordingSet, subjects: frozenset[str], left_out: Sequence[str]
) -> list[Recording]:
    """Recordings of ``subjects`` that can be used; `DataError` where there are none."""
    chosen = [r for r in found.recordings if r.id not in left_out and r.subject in subjects]
    if not chosen:
        raise DataError(
            f"'{found.name}' has none of the {len(subjects)} subjects of the validation set",
            hint="give the data that the model was trained on, or --part all",
        )
    return chosen
