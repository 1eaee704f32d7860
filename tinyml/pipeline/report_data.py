"""What the report shows of a bundle on its data: metrics, single samples, the stages of one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinyml.core import registry
from tinyml.core.bundle import Bundle
from tinyml.core.evaluation_results import EvaluationResults, Picked, Walk
from tinyml.core.events import Report
from tinyml.core.image_processor import ImageProcessor
from tinyml.core.processor import Floats, Processor
from tinyml.core.recording_processor import recording_processor
from tinyml.models.data.entry import DataSetEntry
from tinyml.models.training.intervals import (
    average_recall_estimate,
    recall_estimates,
    share_estimate,
    weighted_accuracy_estimate,
)
from tinyml.models.training.metrics import confusion
from tinyml.models.training.predict import cut_windows
from tinyml.models.training.score_curves import reliability, roc_curves
from tinyml.pipeline.outputs.data import (
    Recorded,
    image_set,
    is_same,
    recorded,
    recording_set,
    require_recorded,
)
from tinyml.pipeline.outputs.engines import Engine, choose
from tinyml.pipeline.outputs.judged import (
    check_labels,
    judge_images,
    judge_recordings,
    validation_recordings,
)
from tinyml.pipeline.predict import windows_through

# Enough for intervals of two points, and a minute's work.
MOST_IMAGES = 2000
IMAGES, RECORDINGS = 12, 4
# Of the option: the set is generated, or lies below $TINYML_DATA.
AUTO = "auto"

Labels = NDArray[np.int64]


def data_option(bundle: Bundle) -> str:
    """What ``--data`` takes for ``bundle``; empty where it records no data set."""
    found = recorded(bundle)
    if found is None or found.recipe.data.set not in registry.DATA_SETS:
        return ""
    entry: DataSetEntry = registry.load("data set", found.recipe.data.set)
    return AUTO if entry.generated else "FOLDER"


def evaluation_results(bundle: Bundle, data: Path | None, report: Report) -> EvaluationResults:
    """What the bundle's own file, in the first runtime that is installed, makes of its data.

    ``data``: the set's folder, as of `tinyml eval`. Raises `InputError` for a bundle that does not
    record its data, `DataError` for data that cannot be used, `MissingExtraError`.
    """
    found = require_recorded(bundle)
    engine = choose(bundle, None)
    of_kind = _images if isinstance(found.processor, ImageProcessor) else _recordings
    return of_kind(bundle, found, engine, data, report)


def _images(
    bundle: Bundle, own: Recorded, engine: Engine, data: Path | None, report: Report
) -> EvaluationResults:
    processor = own.processor
    assert isinstance(processor, ImageProcessor)
    found = image_set(own.recipe, data, processor, report)
    check_labels(processor, found)
    answer = windows_through(engine)
    judged = judge_images(answer, processor, [found.test], report, most=MOST_IMAGES)
    predictions = judged.probabilities.argmax(axis=1)
    is_right = predictions == judged.truths

    def picked(at: int) -> Picked:
        name = f"test image {judged.places[at]}"
        sample = _sample(processor, name, int(judged.truths[at]), judged.probabilities[at])
        return replace(sample, pixels=judged.pixels(at))

    wrong, right = _ordered(processor, is_right, judged.probabilities)
    surest = picked([*wrong[:1], *right][-1])
    given = processor.preprocess(np.asarray(surest.pixels)[None])
    made = _results(processor.labels, judged.truths, predictions, judged.probabilities)
    accuracy = share_estimate("accuracy", int(is_right.sum()), len(is_right))
    return replace(
        made,
        engine=engine.name,
        data_set=found.name,
        unit="images",
        metrics=(accuracy,),
        same_data=is_same(own.training, found),
        wrong=tuple(map(picked, wrong[:IMAGES])),
        right=tuple(map(picked, right[:IMAGES])),
        walk=_walk(bundle, engine, surest, given),
    )


def _recordings(
    bundle: Bundle, own: Recorded, engine: Engine, data: Path | None, report: Report
) -> EvaluationResults:
    processor = recording_processor(own.processor)
    found = recording_set(own.recipe, data)
    check_labels(processor, found)
    subjects = own.training.validation_subjects
    chosen = validation_recordings(found, subjects, own.training.left_out)
    judged = judge_recordings(windows_through(engine), processor, found, chosen, report)
    answers = np.stack(judged.answers)
    is_right = _labels(processor, answers) == [own.label for own in judged.recordings]

    def picked(at: int) -> Picked:
        recording = judged.recordings[at]
        sample = _sample(processor, recording.id, recording.label, answers[at])
        samples, rate_hz = recording.load()
        return replace(sample, samples=samples, rate_hz=rate_hz)

    wrong, right = _ordered(processor, is_right, answers)
    first = [*wrong[:1], *right][-1]
    given = cut_windows(processor, judged.recordings[first])[:1]
    predictions = _labels(processor, judged.probabilities)
    made = _results(processor.labels, judged.truths, predictions, judged.probabilities)
    recalls = made.recalls
    return replace(
        made,
        engine=engine.name,
        data_set=found.name,
        unit="subjects",
        metrics=(average_recall_estimate(recalls), weighted_accuracy_estimate(recalls)),
        same_data=is_same(own.training, found),
        wrong=tuple(map(picked, wrong[:RECORDINGS])),
        right=tuple(map(picked, right[:RECORDINGS])),
        walk=_walk(bundle, engine, replace(picked(first), rate_hz=processor.rate_hz), given),
    )


def _labels(processor: Processor, probabilities: Floats) -> Labels:
    return np.array([processor.postprocess(row) for row in probabilities], np.int64)


def _ordered(
    processor: Processor, is_right: NDArray[np.bool_], probabilities: Floats
) -> tuple[list[int], list[int]]:
    """Wrong samples, the surest first; right ones, the least sure first."""
    margins = np.array([processor.margin(row) for row in probabilities])
    order = np.argsort(margins, kind="stable")
    wrong = [int(at) for at in order[::-1] if not is_right[at]]
    return wrong, [int(at) for at in order if is_right[at]]


def _sample(processor: Processor, name: str, truth: int, probabilities: Floats) -> Picked:
    labels = processor.labels
    return Picked(
        name=name,
        truth=labels[truth],
        prediction=labels[processor.postprocess(probabilities)],
        probabilities=dict(zip(labels, map(float, probabilities), strict=True)),
    )


def _results(
    labels: tuple[str, ...], truths: Labels, predictions: Labels, probabilities: Floats
) -> EvaluationResults:
    """What follows from labels [n] and probabilities [n, classes] alone."""
    counts = confusion(truths, predictions, len(labels))
    bins, distance = reliability(truths, probabilities)
    return EvaluationResults(
        count=len(truths),
        labels=labels,
        recalls=recall_estimates(labels, counts),
        confusion=tuple(map(tuple, counts.tolist())),
        roc=roc_curves(labels, truths, probabilities),
        reliability=bins,
        expected_calibration_error=distance,
    )


def _walk(bundle: Bundle, engine: Engine, sample: Picked, given: Floats) -> Walk:
    """``given`` [1, ...] through the stages of the shipped file."""
    values = engine.stages({bundle.signature.inputs[0].name: given})
    stages = {name: None if own is None else np.asarray(own)[0] for name, own in values.items()}
    return Walk(sample, given[0], stages)
