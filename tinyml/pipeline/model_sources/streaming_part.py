"""A trained model on a stream: each of its two graphs is exported as a model of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tinyml.core.bundle_facts import BundleFacts
from tinyml.core.errors import InputError
from tinyml.core.events import Report
from tinyml.core.image_processor import ImageProcessor
from tinyml.core.recording_processor import RecordingProcessor
from tinyml.core.spec import Array, Arrays, Signature, zeros
from tinyml.core.streaming import FRAMES, FRONT_END, HEAD, SAMPLES
from tinyml.models.protocol import ModelEntry, StreamingForm, StreamingGraph
from tinyml.pipeline.model_sources.calibration import Calibration
from tinyml.pipeline.model_sources.source import Accuracy, ExportedModel, RunChild, Source
from tinyml.pipeline.model_sources.trained import TrainedSource
from tinyml.pipeline.model_sources.workspace import Workspace
from tinyml.pipeline.outputs.engines import Engine

if TYPE_CHECKING:
    from torch import nn

NOTE = "predictions are compared for the whole model"
# Windows at once.
BATCH = 32
# Generated cases that the front end computes call by call; and the first case, of data if any.
ROLLED_OUT = ("random", "impulse")

Cases = Mapping[str, Arrays]


def check_streaming(source: Source) -> None:
    """`InputError`, with the reason, for a model that has no form for a stream."""
    if not isinstance(source, TrainedSource):
        raise InputError(
            f"`streaming`: tinyml cannot split your own model {source.name} into a front end that "
            "keeps a state and a head",
            hint="omit `streaming`; or export one step, its state an input and an output: "
            "`states=IN=OUT`",
        )
    entry = source.entry
    if entry.streaming is not None:
        return
    if isinstance(entry.processor, ImageProcessor):
        raise InputError(
            f"`streaming`: {entry.name} takes images, not sound", hint="omit `streaming`"
        )
    if isinstance(entry.processor, RecordingProcessor) and entry.processor.whole:
        raise InputError(
            f"`streaming`: {entry.name} takes a whole recording, squeezed to "
            f"{entry.processor.window} points: it cannot follow a stream",
            hint="omit `streaming`, or choose a model of windows, which tinyml listen slides",
        )
    raise InputError(
        f"`streaming`: {entry.name} declares no front end that computes frame by frame",
        hint="omit `streaming`: tinyml listen computes a sliding window instead",
    )


def form_of(entry: ModelEntry, module: nn.Module) -> StreamingForm:
    """``module`` as two graphs; the model has passed `check_streaming`."""
    assert entry.streaming is not None, f"{entry.name} has no form for a stream"
    return entry.streaming(module)


def graph_of(form: StreamingForm, part: str) -> StreamingGraph:
    """Its front end or its head."""
    return {FRONT_END: form.front_end, HEAD: form.head}[part]


@dataclass(slots=True)
class StreamingPart(TrainedSource):
    """``part`` of a trained model, `FRONT_END` or `HEAD`; the rest is that of the whole one."""

    part: str = ""

    @property
    def name(self) -> str:
        return f"{self.entry.name}-{self.part}"

    @property
    def form(self) -> StreamingForm:
        """With initial weights: for its signatures, and for frames, which nothing trained makes."""
        return form_of(self.entry, self.entry.build(len(self.checkpoint.processor.labels)).eval())

    def capture(self, work: Workspace, run: RunChild, report: Report) -> ExportedModel:
        self.run_capture(work, run, part=self.part)
        return self.known()

    def known(self) -> ExportedModel:
        saved, graph = self.checkpoint, graph_of(self.form, self.part)
        front_end = self.entry.front_end
        return ExportedModel(
            name=self.name,
            signature=graph.signature,
            stages=graph.stages,
            processor=None,
            labels=saved.processor.labels if self.part == HEAD else (),
            facts=BundleFacts(recipe=saved.recipe, recipe_id=saved.recipe.id),
            front_end=front_end if front_end in graph.stages else None,
            is_part=True,
        )

    def calibration(
        self, signature: Signature, arrays: Arrays | None, count: int, report: Report
    ) -> Calibration:
        """The frames of the windows that the whole model is calibrated on."""
        whole = self.checkpoint.signature
        found = TrainedSource.calibration(self, whole, arrays, count, report)
        windows = found.arrays[whole.inputs[0].name].reshape(len(found), -1)
        return Calibration({FRAMES: frames_of(self.form, windows)}, found.what, signature)

    def accuracy(
        self, engines: Sequence[Engine], work: Workspace, run: RunChild, report: Report
    ) -> Accuracy:
        return Accuracy(note=NOTE)


def frames_of(form: StreamingForm, windows: Array) -> Array:
    """Windows [n, samples] -> what the head takes of each."""
    import torch

    whole = torch.from_numpy(np.ascontiguousarray(windows))
    with torch.no_grad():
        parts = (whole[start : start + BATCH] for start in range(0, len(whole), BATCH))
        return np.concatenate([form.frames(part).numpy() for part in parts])


def cases_of(form: StreamingForm, part: str, whole: Cases) -> dict[str, Arrays]:
    """The parity cases of ``part``, from windows by case of the ``whole`` model.

    Of the front end some calls of a few windows, with the states that PyTorch has by then: the
    first, one in the middle, and those whose frames are of the samples of these two.
    """
    windows = {case: np.concatenate([*given.values()]) for case, given in whole.items()}
    if part == HEAD:
        return {case: {FRAMES: frames_of(form, window)} for case, window in windows.items()}
    return {
        f"{case}, call {call}": given
        for case in dict.fromkeys((next(iter(windows)), *ROLLED_OUT))
        for call, given in _rollout(form, windows[case])
    }


def _rollout(form: StreamingForm, window: Array) -> Iterator[tuple[int, Arrays]]:
    """Some calls of a stream, from 1, and their inputs."""
    import torch

    own, graph = form.streaming, form.front_end
    calls = window.shape[1] // own.granule_samples
    late = -(-own.delay_frames // own.granule_frames)
    wanted = {0, late, calls // 2, calls // 2 + late}
    states = zeros(graph.signature)
    for call in range(max(wanted) + 1):
        granule = window[:, call * own.granule_samples :][:, : own.granule_samples]
        given = {**states, SAMPLES: np.ascontiguousarray(granule)}
        if call in wanted:
            yield call + 1, given
        with torch.no_grad():
            outputs = graph.module(**{n: torch.from_numpy(own) for n, own in given.items()})
        states = {
            pair.input: np.ascontiguousarray(outputs[pair.output].numpy())
            for pair in graph.signature.states
        }
