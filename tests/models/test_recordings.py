"""No subject is on both sides of a split, labels are spread evenly, and chance is seeded."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from tinyml.core.errors import DataError
from tinyml.models.data.options import check_options
from tinyml.models.data.recordings import (
    Recording,
    RecordingSet,
    folds_by_subject,
    split_by_subject,
    subject_labels,
)

RATE = 4000
LABELS = ("Present", "Unknown", "Absent")


def a_set(subjects: int = 40) -> RecordingSet:
    """Two recordings a subject; of a Present subject only the first is Present."""
    recordings = []
    for subject in range(subjects):
        worst = 0 if subject % 4 == 0 else 1 if subject % 10 == 1 else 2
        for number, label in enumerate((worst, 2 if worst == 0 else worst)):
            name = f"p{subject:02d}"
            recordings.append(
                Recording(f"{name}-{number}", name, label, lambda: (np.ones(9, np.float32), RATE))
            )
    return RecordingSet("made", LABELS, tuple(recordings), (), "0" * 64)


def test_a_subject_has_the_worst_label_of_their_recordings() -> None:
    labels = subject_labels(a_set())
    assert labels["p00"] == 0
    assert labels["p01"] == 1
    assert labels["p02"] == 2


@pytest.mark.parametrize("count", [2, 3, 5])
def test_folds_hold_every_subject_once_and_each_label_evenly(count: int) -> None:
    data = a_set()
    labels = subject_labels(data)
    folds = folds_by_subject(data, count, seed=1)
    assert sorted(subject for fold in folds for subject in fold) == sorted(labels)
    for label in range(3):
        sizes = [Counter(labels[p] for p in fold)[label] for fold in folds]
        assert max(sizes) - min(sizes) <= 1
    sizes = [len(fold) for fold in folds]
    assert max(sizes) - min(sizes) <= 1


def test_the_same_seed_gives_the_same_subjects_and_another_others() -> None:
    data = a_set()
    assert folds_by_subject(data, 4, 7) == folds_by_subject(data, 4, 7)
    assert folds_by_subject(data, 4, 7) != folds_by_subject(data, 4, 8)
    assert split_by_subject(data, 0.25, 7) == split_by_subject(data, 0.25, 7)
    assert split_by_subject(data, 0.25, 7) != split_by_subject(data, 0.25, 8)


def test_a_split_holds_out_the_fraction_of_every_label() -> None:
    data = a_set()
    labels = subject_labels(data)
    training, validation = split_by_subject(data, 0.25, 0)
    assert not set(training) & set(validation)
    assert set(training) | set(validation) == set(labels)
    for label, count in Counter(labels.values()).items():
        chosen = sum(labels[p] == label for p in validation)
        assert chosen == max(1, round(0.25 * count))


def test_what_cannot_be_split_is_said() -> None:
    with pytest.raises(DataError, match="2 subjects"):
        folds_by_subject(a_set(2), 3, 0)
    with pytest.raises(DataError, match="validation_fraction"):
        split_by_subject(a_set(), 1.0, 0)
    with pytest.raises(DataError, match="too few subjects"):
        split_by_subject(a_set(2), 0.9, 0)
    doubled = a_set(2).recordings * 2
    with pytest.raises(DataError, match="twice"):
        RecordingSet("made", LABELS, doubled, (), "")


def test_options_are_checked_by_name_and_type() -> None:
    known = {"root": str, "seconds": float, "strict": bool}
    check_options("made", {"root": "a", "seconds": 3, "strict": True}, known)
    with pytest.raises(DataError, match="no option 'rot'") as caught:
        check_options("made", {"rot": "a"}, known)
    assert "root" in caught.value.hint
    for bad in ({"root": 1}, {"seconds": True}, {"strict": 1}):
        with pytest.raises(DataError, match="takes"):
            check_options("made", bad, known)
