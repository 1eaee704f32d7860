"""What a data set is to training: labelled recordings of subjects, split by subject."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np

from tinyml.core.errors import DataError
from tinyml.core.processor import Floats


@dataclass(frozen=True, slots=True)
class Recording:
    """One recording; ``label`` indexes the set's labels, ``load`` gives samples and rate."""

    id: str
    subject: str
    label: int
    load: Callable[[], tuple[Floats, int]]


@dataclass(frozen=True, slots=True)
class RecordingSet:
    """Recordings and what is known of them as a whole.

    labels    class names, worst first
    warnings  contradictions that were found and how each was settled
    sha256    of the content: the same recordings and labels give the same digest
    """

    name: str
    labels: tuple[str, ...]
    recordings: tuple[Recording, ...]
    warnings: tuple[str, ...]
    sha256: str

    def __post_init__(self) -> None:
        ids = [recording.id for recording in self.recordings]
        if len(set(ids)) != len(ids):
            raise DataError(f"data set '{self.name}' names a recording twice")


def subject_labels(data: RecordingSet) -> dict[str, int]:
    """Each subject's label: the worst, so the lowest index, of their recordings."""
    labels: dict[str, int] = {}
    for recording in data.recordings:
        labels[recording.subject] = min(
            recording.label, labels.get(recording.subject, recording.label)
        )
    return labels


def folds_by_subject(data: RecordingSet, count: int, seed: int) -> tuple[tuple[str, ...], ...]:
    """``count`` groups of subjects, sorted; each label is spread evenly over the groups.

    The same set, count and seed give the same groups. Raises `DataError` when there are
    fewer subjects than groups.
    """
    labels = subject_labels(data)
    if count < 2 or len(labels) < count:
        raise DataError(
            f"{len(labels)} subjects of '{data.name}' cannot make {count} folds",
            hint="take at least 2 folds and as many subjects as folds",
        )
    groups: list[list[str]] = [[] for _ in range(count)]
    for place, subject in enumerate(_shuffled_within_label(labels, seed)):
        groups[place % count].append(subject)
    return tuple(tuple(sorted(group)) for group in groups)


def split_by_subject(
    data: RecordingSet, fraction: float, seed: int
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(training, validation) subjects, sorted: ``fraction`` of each label, at least one, validate.

    Raises `DataError` when the fraction is not between 0 and 1 or nobody is left to train on.
    """
    if not 0 < fraction < 1:
        raise DataError(f"validation_fraction is {fraction:g}, it lies between 0 and 1")
    labels = subject_labels(data)
    validation: list[str] = []
    for label in sorted(set(labels.values())):
        among = {subject: other for subject, other in labels.items() if other == label}
        count = max(1, round(fraction * len(among)))
        validation += _shuffled_within_label(among, seed)[:count]
    training = sorted(set(labels) - set(validation))
    if not training:
        raise DataError(f"'{data.name}' has too few subjects for a validation set")
    return tuple(training), tuple(sorted(validation))


def of_subjects(data: RecordingSet, subjects: Collection[str]) -> list[int]:
    """Indices of the recordings of ``subjects``, in order."""
    wanted = set(subjects)
    return [i for i, recording in enumerate(data.recordings) if recording.subject in wanted]


def _shuffled_within_label(labels: Mapping[str, int], seed: int) -> list[str]:
    """Subjects grouped by label, in random order within each."""
    ordered: list[str] = []
    for label in sorted(set(labels.values())):
        among = sorted(subject for subject, other in labels.items() if other == label)
        np.random.default_rng((seed, label)).shuffle(among)
        ordered += among
    return ordered
