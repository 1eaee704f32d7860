"""A small network, a recipe and recordings to train it on many times."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from tinyml.core.events import Event, Message, Progress
from tinyml.core.recipe import Recipe, TrainRecipe
from tinyml.core.recording_processor import RecordingProcessor
from tinyml.core.spec import Signature, TensorSpec
from tinyml.models.data.recordings import Recording, RecordingSet
from tinyml.models.protocol import ModelEntry

LABELS = ("Present", "Unknown", "Absent")
RATE = 100
WINDOW = 200


class Small(nn.Module):
    """A network of the protocol that `train` needs, small enough to train many times."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(8))
        self.normalization = nn.BatchNorm1d(8)
        self.dropout = nn.Dropout(0.2)
        self.linear = nn.Linear(8, classes)

    def features(self, waveform: Tensor) -> Tensor:
        return torch.fft.rfft(waveform).abs()[:, 1:81].unflatten(1, (8, 10)).mean(2).log1p()

    def fit_statistics(self, features: Tensor) -> None:
        self.get_buffer("mean").copy_(features.mean(0))

    def classify(self, features: Tensor) -> Tensor:
        return self.linear(self.dropout(self.normalization(features - self.get_buffer("mean"))))

    def forward(self, waveform: Tensor) -> dict[str, Tensor]:
        return {"probabilities": torch.softmax(self.classify(self.features(waveform)), 1)}


def signature(classes: int) -> Signature:
    return Signature(
        (TensorSpec("waveform", (1, WINDOW), rate_hz=RATE),),
        (TensorSpec("probabilities", (1, classes)),),
    )


SMALL = ModelEntry(
    name="small",
    paper="",
    summary="",
    signature=signature,
    processor=RecordingProcessor(LABELS, WINDOW, WINDOW // 2, RATE),
    build=Small,
    stages=("normalization", "linear"),
)
RECIPE = Recipe(
    name="r",
    model="small",
    seed=5,
    train=TrainRecipe(epochs=3, batch_size=8, threshold_folds=2, class_weights=(5.0, 3.0, 1.0)),
)


def tones(subjects: int = 24, offset: int = 0) -> RecordingSet:
    """Each label a tone of its own in noise."""

    def sound(subject: int, number: int) -> tuple[np.ndarray, int]:
        random = np.random.default_rng((subject + offset, number))
        time_s = np.arange(500) / RATE
        tone = np.sin(2 * np.pi * (6 + 12 * (subject % 3)) * time_s + random.uniform(0, 6))
        return (0.2 * tone + 0.1 * random.standard_normal(500)).astype(np.float32), RATE

    recordings = tuple(
        Recording(f"p{p:02d}-{n}", f"p{p:02d}", p % 3, lambda p=p, n=n: sound(p, n))
        for p in range(subjects)
        for n in range(2)
    )
    return RecordingSet("tones", LABELS, recordings, (), f"{subjects}-{offset}")


DATA = tones()


def quiet(event: Event) -> None:
    assert isinstance(event, Message | Progress)


class Stop:
    """A report that interrupts the run at its ``count``-th event."""

    def __init__(self, count: int) -> None:
        self.left = count

    def __call__(self, event: Event) -> None:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}
