"""Recordings or images in, probabilities out, through a bundle's own model file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinyml.core import bundle as bundles
from tinyml.core.bundle import Bundle
from tinyml.core.bundle_folder import check_outside
from tinyml.core.device import THIS_MACHINE, Device
from tinyml.core.errors import InputError, UsageError, require
from tinyml.core.events import Report, silent
from tinyml.core.finite import LOUD, check_outputs
from tinyml.core.image_processor import ImageProcessor
from tinyml.core.processor import Floats
from tinyml.core.recording_processor import RecordingProcessor, recording_processor
from tinyml.models.data.audio import read_audio
from tinyml.models.data.recordings import Recording
from tinyml.models.training.predict import cut_windows, named
from tinyml.pipeline.cross_check import check_bundle
from tinyml.pipeline.devices.opened import opened
from tinyml.pipeline.outputs.engines import Engine, choose
from tinyml.pipeline.outputs.engines_on_link import opened_engine
from tinyml.pipeline.outputs.predict_images import ImagePrediction, predict_images
from tinyml.runtimes.base import Session


@dataclass(frozen=True, slots=True)
class RecordingPrediction:
    """What the model says of one recording."""

    file: str
    label: str
    probabilities: dict[str, float]
    windows: int


def predict(
    folder: Path,
    files: Sequence[Path],
    *,
    plot: Path | None,
    runtime: str | None,
    device: Device = THIS_MACHINE,
    report: Report = silent,
) -> list[RecordingPrediction] | list[ImagePrediction]:
    """One answer per file, in order; nothing is answered when one file is bad.

    The network computes on ``device``, and all that surrounds it is done here. A ``plot`` is drawn
    of values inside the network, as this machine computes them.

    Raises `DataError` naming the file, `ValidationError` for a changed bundle or outputs that
    are not finite, `MissingExtraError` without a runtime, `UsageError` for a ``plot`` in a bundle,
    `DeviceError`.
    """
    check_outside(plot)
    bundle = bundles.read(folder)
    processor = _processor(bundle)
    if plot is not None:
        _check_plot(bundle, files)
    with _windows_on(device, bundle, runtime, report) as classify:
        if isinstance(processor, ImageProcessor):
            return predict_images(files, processor, classify)
        answers = [_answer(file, processor, classify) for file in files]
        if plot is not None:
            _plot(bundle, processor, choose(bundle, runtime), files[0], answers[0], plot)
        return answers


@contextmanager
def _windows_on(
    device: Device, bundle: Bundle, runtime: str | None, report: Report
) -> Iterator[Callable[[Floats], Floats]]:
    """`windows_through` the engine for ``runtime`` on ``device``.

    A runtime that is missing here is named before a bundle that was changed.
    """
    if device == THIS_MACHINE:
        engine = choose(bundle, runtime)
        check_bundle(bundle)
        yield windows_through(engine)
        return
    check_bundle(bundle)
    with (
        opened(device, bundle, "predict", report) as link,
        opened_engine(bundle, runtime, link) as there,
    ):
        yield windows_through_session(there.session, there.engine.model.path)


def windows_through(engine: Engine) -> Callable[[Floats], Floats]:
    """`windows_through_session`, of a new session of ``engine``."""
    return windows_through_session(engine.open(), engine.model.path)


def windows_through_session(session: Session, path: str) -> Callable[[Floats], Floats]:
    """A function [n, ...] -> [n, classes] that asks ``session`` for one input at a time.

    It raises `ValidationError`, naming the file ``path``, where an output is not finite.
    """
    name, output = session.signature.inputs[0].name, session.signature.outputs[0].name

    def answer(windows: Floats) -> Floats:
        found = np.concatenate([session.run({name: w[None]})[output] for w in windows])
        check_outputs(path, {output: found}, hint=LOUD)
        return found

    return answer


def _processor(bundle: Bundle) -> ImageProcessor | RecordingProcessor:
    if bundle.processor is None:
        raise InputError(
            f"{bundle.folder} takes no files: nothing describes how one becomes its inputs",
            hint="run its model file with arrays instead",
        )
    if isinstance(bundle.processor, ImageProcessor):
        return bundle.processor
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


def _check_plot(bundle: Bundle, files: Sequence[Path]) -> None:
    if isinstance(bundle.processor, ImageProcessor):
        raise UsageError(f"{bundle.model} has no scalogram to draw: it takes images")
    require("matplotlib", "matplotlib", "report")
    if len(files) != 1:
        raise UsageError(f"--plot draws one file, {len(files)} were given")


def _plot(
    bundle: Bundle,
    processor: RecordingProcessor,
    engine: Engine,
    file: Path,
    answer: RecordingPrediction,
    path: Path,
) -> None:
    """The scalogram of the first window, read from inside the shipped file."""
    from tinyml.pages.plots import scalogram_plot

    picture = bundle.facts.scalogram
    if picture is None:
        raise UsageError(f"{bundle.model} has no scalogram to draw")
    first = _windows(file, processor)[:1]
    inputs = {bundle.signature.inputs[0].name: first}
    value = engine.stages(inputs)[picture.stage]
    if value is None:
        raise UsageError(f"'{picture.stage}' is fused away in {engine.model.path}")
    scalogram_plot(
        np.asarray(value, np.float32).reshape(len(picture.frequencies_hz), -1),
        picture.frequencies_hz,
        picture.frame_rate_hz,
        title=file.name,
        probabilities=answer.probabilities,
        label=answer.label,
        path=path,
    )
