"""Recordings or images in, probabilities out, through a bundle's own model file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinyml.core import bundle as bundles
from tinyml.core.bundle import Bundle
from tinyml.core.bundle_folder import check_outside
from tinyml.core.errors import InputError, UsageError, require
from tinyml.core.finite import LOUD, check_outputs
from tinyml.core.image_processor import ImageProcessor
from tinyml.core.processor import Floats
from tinyml.core.recording_processor import RecordingProcessor, recording_processor
from tinyml.models.data.audio import read_audio
from tinyml.models.data.recordings import Recording
from tinyml.models.training.predict import cut_windows, named
from tinyml.pipeline.cross_check import check_bundle
from tinyml.pipeline.outputs.engines import Engine, choose
from tinyml.pipeline.outputs.predict_images import ImagePrediction, predict_images


@dataclass(frozen=True, slots=True)
class RecordingPrediction:
    """What the model says of one recording."""

    file: str
    label: str
    probabilities: dict[str, float]
    windows: int


def predict(
    folder: Path, files: Sequence[Path], *, plot: Path | None, runtime: str | None
) -> list[RecordingPrediction] | list[ImagePrediction]:
    """One answer per file, in order; nothing is answered when one file is bad.

    Raises `DataError` naming the file, `ValidationError` for a changed bundle or outputs that
    are not finite, `MissingExtraError` without a runtime, `UsageError` for a ``plot`` in a bundle.
    """
    check_outside(plot)
    bundle = bundles.read(folder)
    if isinstance(bundle.processor, ImageProcessor):
        return _images(bundle, bundle.processor, files, plot, runtime)
    processor = _processor(bundle)
    if plot is not None:
        _check_plot(files)
    engine = choose(bundle, runtime)
    check_bundle(bundle)
    classify_windows = windows_through(engine)
    answers = [_answer(file, processor, classify_windows) for file in files]
    if plot is not None:
        _plot(bundle, engine, files[0], answers[0], plot)
    return answers


def _images(
    bundle: Bundle,
    processor: ImageProcessor,
    files: Sequence[Path],
    plot: Path | None,
    runtime: str | None,
) -> list[ImagePrediction]:
    if plot is not None:
        raise UsageError(f"{bundle.model} has no scalogram to draw: it takes images")
    engine = choose(bundle, runtime)
    check_bundle(bundle)
    return predict_images(files, processor, windows_through(engine))


def windows_through(engine: Engine) -> Callable[[Floats], Floats]:
    """A function [n, ...] -> [n, classes] that asks ``engine`` for one input at a time.

    It raises `ValidationError` where an output is not finite.
    """
    session = engine.open()
    name, output = session.signature.inputs[0].name, session.signature.outputs[0].name

    def answer(windows: Floats) -> Floats:
        found = np.concatenate([session.run({name: w[None]})[output] for w in windows])
        check_outputs(engine.model.path, {output: found}, hint=LOUD)
        return found

    return answer


def _processor(bundle: Bundle) -> RecordingProcessor:
    if bundle.processor is None:
        raise InputError(
            f"{bundle.folder} takes no files: nothing describes how one becomes its inputs",
            hint="run its model file with arrays instead",
        )
    return recording_processor(bundle.processor)


def _answer(
    file: Path, processor: RecordingProcessor, classify_windows: Callable[[Floats], Floats]
) -> RecordingPrediction:
    windows = _windows(file, processor)
    with named(str(file)):
        probabilities = processor.aggregate(classify_windows(windows))
    return RecordingPrediction(
        file=str(file),
        label=processor.labels[processor.postprocess(probabilities)],
        probabilities=dict(zip(processor.labels, map(float, probabilities), strict=True)),
        windows=len(windows),
    )


def _windows(file: Path, processor: RecordingProcessor) -> Floats:
    unlabelled = Recording(str(file), subject="", label=0, load=lambda: read_audio(file))
    return cut_windows(processor, unlabelled)


def _check_plot(files: Sequence[Path]) -> None:
    require("matplotlib", "matplotlib", "report")
    if len(files) != 1:
        raise UsageError(f"--plot draws one file, {len(files)} were given")


def _plot(
    bundle: Bundle, engine: Engine, file: Path, answer: RecordingPrediction, path: Path
) -> None:
    """The scalogram of the first window, read from inside the shipped file."""
    from tinyml.pages.plots import scalogram_plot

    picture = bundle.facts.get("scalogram")
    if picture is None:
        raise UsageError(f"{bundle.model} has no scalogram to draw")
    first = _windows(file, _processor(bundle))[:1]
    inputs = {bundle.signature.inputs[0].name: first}
    value = engine.stages(inputs)[picture["stage"]]
    if value is None:
        raise UsageError(f"'{picture['stage']}' is fused away in {engine.model.path}")
    scalogram_plot(
        np.asarray(value, np.float32).reshape(len(picture["frequencies_hz"]), -1),
        picture["frequencies_hz"],
        picture["frame_rate_hz"],
        title=file.name,
        probabilities=answer.probabilities,
        label=answer.label,
        path=path,
    )
