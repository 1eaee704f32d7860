"""What a model is calibrated on: inputs that training saw, never what it is judged by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinyml.core.arrays import check_inputs, rows_of
from tinyml.core.checkpoint import Checkpoint
from tinyml.core.errors import UsageError
from tinyml.core.events import Progress, Report
from tinyml.core.image_processor import ImageProcessor
from tinyml.core.recording_processor import recording_processor
from tinyml.core.spec import Array, Arrays, Signature
from tinyml.models.training.predict import cut_windows
from tinyml.pipeline.outputs.data import check_same, image_set, recording_set

WHAT = "the calibration data"
INSTEAD = "give inputs with `calibration=samples.npz`"


@dataclass(frozen=True, slots=True)
class Calibration:
    """Samples by input, each with a leading axis; ``what`` says where they come from."""

    arrays: Mapping[str, Array]
    what: str
    signature: Signature

    def __len__(self) -> int:
        return min((len(array) for array in self.arrays.values()), default=0)

    def __iter__(self) -> Iterator[dict[str, Array]]:
        for index in range(len(self)):
            yield rows_of(self.signature, self.arrays, index)

    def told(self, title: str, report: Report) -> Iterator[dict[str, Array]]:
        """The samples, each reported under ``title`` when it has been used."""
        for done, sample in enumerate(self, 1):
            yield sample
            report(Progress(title, done, len(self)))


def given(arrays: Arrays, signature: Signature, count: int) -> Calibration:
    """A user's ``calibration``; `InputError` where it is empty or does not fit."""
    samples = check_inputs(signature.inputs, signature.states, arrays, WHAT)
    chosen = spread(samples, count)
    rows = {
        spec.name: arrays[spec.name][chosen] for spec in signature.inputs if spec.name in arrays
    }
    return Calibration(rows, "given", signature)


def sample_alone(sample: Arrays, signature: Signature) -> Calibration:
    """A user's one sample, for want of more."""
    rows = {name: np.asarray(array)[None] for name, array in sample.items()}
    return Calibration(rows, "the one sample: give more with `calibration`", signature)


def of_training(saved: Checkpoint, data: Path | None, count: int, report: Report) -> Calibration:
    """Spread over what ``saved`` was trained on; `UsageError` without its data set.

    `DataError` where the set has changed since: it may hold validation data.
    """
    check_has_data(saved)
    name = saved.signature.inputs[0].name
    rows = (
        _images(saved, saved.processor, data, count, report)
        if isinstance(saved.processor, ImageProcessor)
        else _windows(saved, data, count)
    )
    what = f"the training part of {saved.recipe.data.set}"
    return Calibration({name: rows}, what, saved.signature)


def check_has_data(saved: Checkpoint) -> None:
    """`UsageError` for a checkpoint that does not name the data that it was trained on."""
    if not saved.facts:
        raise no_data()


def no_data() -> UsageError:
    """Nothing to calibrate on."""
    return UsageError(
        "`calibration` is not given, and these weights come without a data set",
        hint="give inputs with `calibration=samples.npz`",
    )


def _images(
    saved: Checkpoint, processor: ImageProcessor, root: Path | None, count: int, report: Report
) -> Array:
    loaded = image_set(saved.recipe, root, processor, report)
    check_same(saved, loaded, INSTEAD)
    images = loaded.training.images
    return processor.preprocess(np.array(images[spread(len(images), count)]))


def _windows(saved: Checkpoint, root: Path | None, count: int) -> Array:
    validation = set(saved.facts["split"]["validation"])
    left_out = set(saved.facts["left_out"])
    loaded = recording_set(saved.recipe, root)
    check_same(saved, loaded, INSTEAD)
    seen = [r for r in loaded.recordings if r.subject not in validation and r.id not in left_out]
    processor = recording_processor(saved.processor)
    # A window each, from as many subjects as can be: to cut all of them adds hours, not ranges.
    chosen = [seen[place] for place in spread(len(seen), count)]
    windows = np.concatenate([cut_windows(processor, recording) for recording in chosen])
    return np.asarray(windows[spread(len(windows), count)])


def spread(total: int, count: int) -> Array:
    """``count`` places at most, evenly over ``total``, each once."""
    return np.unique(np.linspace(0, total - 1, min(total, count)).astype(int))
