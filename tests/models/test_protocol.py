"""A model, a data set and a pruning method are a file and a row: nothing else is edited."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tinyml.core import registry
from tinyml.core.image_processor import ImageProcessor
from tinyml.core.recording_processor import RecordingProcessor
from tinyml.core.spec import Options, Signature, TensorSpec
from tinyml.models.classifier import ImageClassifier, image_entry
from tinyml.models.cost import count_macs, macs_by_layer
from tinyml.models.data.entry import DataSetEntry
from tinyml.models.data.images import ImageSet, ImageSplit
from tinyml.models.protocol import ModelEntry, check_module
from tinyml.models.pruning.method import PruningMethod
from tinyml.pipeline.prune import PruneJob, dry_run, prune
from tinyml.pipeline.train import train

SIDE, CLASSES = 8, 2


class Plain(nn.Module):
    """No base class of the package: what the protocol asks for, and nothing else."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.mix = nn.Conv2d(8, 16, 1)
        self.last = nn.Linear(16, classes)

    def classify(self, image: Tensor) -> Tensor:
        return self.last(torch.relu(self.mix(torch.relu(self.stem(image)))).mean((2, 3)))

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return {"probabilities": torch.softmax(self.classify(image), dim=1)}


def signature(classes: int) -> Signature:
    return Signature(
        (TensorSpec("image", (1, 3, SIDE, SIDE)),), (TensorSpec("probabilities", (1, classes)),)
    )


def load(options: Options, seed: int, **_shape: Any) -> ImageSet:
    """Noise, red in one class."""
    random = np.random.default_rng(seed)

    def part(count: int) -> ImageSplit:
        labels = np.arange(count) % CLASSES
        pixels = random.integers(0, 160, (count, SIDE, SIDE, 3))
        pixels[..., 0] += 80 * labels[:, None, None]
        return ImageSplit(pixels.astype(np.uint8), labels.astype(np.int64))

    return ImageSet("noise", ("dull", "red"), part(32), part(8), (), f"noise {seed}")


PLAIN = ModelEntry(
    name="plain",
    paper="none",
    summary="for this test",
    signature=signature,
    processor=ImageProcessor(("0", "1"), SIDE),
    build=Plain,
    stages=("stem", "mix"),
)
NOISE = DataSetEntry(name="noise", kind="images", load=load, generated=True)
LARGEST = PruningMethod(
    name="largest",
    paper="none",
    summary="the largest weights go at once",
    score=lambda weight: -weight.abs(),
    rounds=lambda _settings: (1.0,),
    layers="pointwise",
)
ENTRIES = {"plain": PLAIN, "noise": NOISE, "largest": LARGEST}
RECIPE = """\
model = "plain"

[data]
set = "noise"

[train]
epochs = 2
batch_size = 16
"""


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row for each, as a contributor adds it."""
    monkeypatch.setitem(sys.modules, "throw_away", SimpleNamespace(**ENTRIES))  # type: ignore[arg-type]
    for table, name in (
        (registry.MODELS, "plain"),
        (registry.DATA_SETS, "noise"),
        (registry.PRUNING_METHODS, "largest"),
    ):
        monkeypatch.setitem(table, name, f"throw_away:{name}")


@pytest.mark.usefixtures("registered")
def test_a_throw_away_model_is_trained_and_pruned_by_a_throw_away_method(tmp_path: Path) -> None:
    recipe = tmp_path / "plain.toml"
    recipe.write_text(RECIPE, encoding="utf-8")
    run = tmp_path / "run"
    done = train(str(recipe), run, folds=0, data=None, strict=False, report=lambda _event: None)
    assert done["metrics"]["images"] == 8
    job = PruneJob(run, prune={"method": "largest", "sparsity": 0.5}, train={})
    assert [row["name"] for row in dry_run(job)["layers"]] == ["stem", "mix", "last"]
    pruned = prune(job, tmp_path / "pruned", lambda _event: None)["pruning"]
    assert (pruned["method"], pruned["sparsity"]) == ("largest", 0.5)
    assert [row["zeros"] for row in pruned["layers"]] == [0, 64, 0]


def test_a_throw_away_model_is_counted() -> None:
    macs = macs_by_layer(Plain(CLASSES), signature(CLASSES))
    assert macs == {"stem": 64 * 8 * 27, "mix": 64 * 16 * 8, "last": 32}
    assert count_macs(Plain(CLASSES), signature(CLASSES)) == macs.total()


@pytest.mark.parametrize("name", registry.MODELS)
def test_every_registered_module_is_what_its_entry_declares(name: str) -> None:
    entry: ModelEntry = registry.load("model", name)
    classes = len(entry.processor.labels)
    with torch.device("meta" if isinstance(entry.processor, ImageProcessor) else "cpu"):
        check_module(entry, entry.build(classes))
    assert len(entry.signature(classes).outputs) >= 1
    assert entry.front_end is None or entry.front_end in entry.stages


def test_what_a_module_lacks_is_named() -> None:
    class Silent(ImageClassifier):
        classify = None  # type: ignore[assignment]

    entry = image_entry("silent", "none", "", Silent, side=SIDE, stages=("stem",))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"'silent' lacks classify\(\), the stage 'stem' \(see"):
        check_module(entry, Silent())
    heard = ModelEntry(
        "heard", "", "", signature, RecordingProcessor(("a", "b"), 8, 8, 8), Plain, ()
    )
    with pytest.raises(TypeError, match=r"lacks features\(\), fit_statistics\(\)"):
        check_module(heard, Plain(CLASSES))
