"""Training on images: resumable to the byte, judged on the test part, dense or pruned."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tinyml.core import checkpoint, registry
from tinyml.core.checkpoint import FILE, Checkpoint
from tinyml.core.errors import CheckpointError, RecipeError, TinymlError
from tinyml.core.events import Epoch, Event
from tinyml.core.recipe import PruneRecipe, Recipe, TrainRecipe
from tinyml.models.classifier import ImageClassifier, image_entry
from tinyml.models.data.images import ImageSet, ImageSplit
from tinyml.models.protocol import ModelEntry
from tinyml.models.pruning.plan import plan_pruning
from tinyml.models.pruning.prune import Pruning
from tinyml.models.training import images as training
from tinyml.models.training.images import ImageBatches, processor_of

SIDE = 8


class Small(ImageClassifier):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.mix = nn.Conv2d(8, 16, 1)
        self.last = nn.Linear(16, classes)

    def classify(self, image: Tensor) -> Tensor:
        maps = torch.relu(self.mix(torch.relu(self.norm(self.conv(image)))))
        return self.last(maps.mean((2, 3)))


ENTRY: ModelEntry = image_entry("small", "none", "for tests", Small, side=SIDE, stages=("conv",))
TRAIN = TrainRecipe(
    epochs=3,
    batch_size=16,
    optimizer="sgd",
    schedule="cosine",
    warm_up_epochs=1.0,
    learning_rate=0.05,
    label_smoothing=0.1,
    ema=0.9,
    flip=True,
    shift=1,
)
GRADUAL = PruneRecipe("gradual", 0.75, begin=0.0, end=0.8, every=2)


def images(seed: int = 0, count: int = 48) -> ImageSet:
    """Two classes of noise, one of them redder."""
    random = np.random.default_rng(seed)

    def part(size: int) -> ImageSplit:
        labels = np.arange(size) % 2
        pixels = random.integers(0, 160, (size, SIDE, SIDE, 3))
        pixels[..., 0] += 80 * labels[:, None, None]
        return ImageSplit(pixels.astype(np.uint8), labels.astype(np.int64))

    return ImageSet("noise", ("dull", "red"), part(count), part(20), (), f"digest {seed}")


def recipe(**changes: Any) -> Recipe:
    return replace(Recipe("small", "small", seed=5, train=TRAIN), **changes)


def quiet(_event: Event) -> None:
    pass


def train(
    entry: ModelEntry,
    wanted: Recipe,
    data: ImageSet,
    out: Path,
    report: training.Report,
    parent: Checkpoint | None = None,
) -> Checkpoint:
    """Train densely, or by the recipe's pruning method."""
    procedure = None
    if wanted.prune.method:
        method = registry.load("pruning method", wanted.prune.method)
        module = entry.build(len(data.labels))
        procedure = Pruning(plan_pruning(module, wanted.prune, method))
    return training.train(entry, wanted, data, out, report, parent, procedure)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "whole"
    train(ENTRY, recipe(), images(), out, quiet)
    return out


def test_a_run_leaves_its_checkpoint_and_curve_and_learns(whole: Path) -> None:
    assert {path.name for path in whole.iterdir()} == {FILE, "curve.json"}
    curve = json.loads((whole / "curve.json").read_text())
    assert [row["epoch"] for row in curve] == [1, 2, 3]
    assert set(curve[0]) == {"epoch", "loss", "validation_loss", "validation_accuracy"}
    assert curve[-1]["loss"] < curve[0]["loss"]


@pytest.mark.parametrize("prune", [PruneRecipe(), GRADUAL], ids=["dense", "gradual"])
def test_a_run_stopped_after_any_epoch_ends_in_the_same_bytes(
    prune: PruneRecipe, tmp_path: Path
) -> None:
    class StopError(Exception):
        pass

    wanted = recipe(prune=prune)
    train(ENTRY, wanted, images(), tmp_path / "whole", quiet)
    stops = 0

    def stop(event: Event) -> None:
        if isinstance(event, Epoch):
            raise StopError

    while not (tmp_path / "parts" / FILE).is_file():
        try:
            train(ENTRY, wanted, images(), tmp_path / "parts", stop)
        except StopError:
            stops += 1
    assert stops == TRAIN.epochs
    assert (tmp_path / "parts" / FILE).read_bytes() == (tmp_path / "whole" / FILE).read_bytes()


def test_a_pruned_run_says_how_many_weights_of_each_layer_are_zero(tmp_path: Path) -> None:
    saved = train(ENTRY, recipe(prune=GRADUAL), images(), tmp_path / "run", quiet)
    facts = saved.facts.pruning
    assert facts.method == "gradual"
    assert facts.sparsity == 0.75
    zeros = {row.name: row.zeros for row in facts.layers}
    assert zeros == {"conv": 0, "mix": 96, "last": 0}
    assert int((saved.weights["mix.weight"] == 0).sum()) == 96
    assert saved.facts.curve[-1]["sparsity"] == 0.75


def test_the_kept_weights_are_the_average_where_one_is_asked_for(tmp_path: Path) -> None:
    plain = replace(TRAIN, ema=0.0)
    averaged = train(ENTRY, recipe(), images(), tmp_path / "a", quiet)
    last = train(ENTRY, recipe(train=plain), images(), tmp_path / "b", quiet)
    name = "mix.weight"
    assert not np.array_equal(averaged.weights[name], last.weights[name])


def test_the_teachers_answers_change_the_student_and_its_own_weights_do_not(
    whole: Path, tmp_path: Path
) -> None:
    parent = checkpoint.load(whole)
    before = {name: value.copy() for name, value in parent.weights.items()}
    taught = replace(TRAIN, distill_weight=0.7)
    one = train(ENTRY, recipe(prune=GRADUAL), images(), tmp_path / "one", quiet, parent)
    wanted = recipe(prune=GRADUAL, train=taught)
    two = train(ENTRY, wanted, images(), tmp_path / "two", quiet, parent)
    assert not np.array_equal(one.weights["mix.weight"], two.weights["mix.weight"])
    assert all(np.array_equal(parent.weights[name], value) for name, value in before.items())


def test_distillation_without_a_teacher_is_refused(tmp_path: Path) -> None:
    wanted = recipe(train=replace(TRAIN, distill_weight=0.5))
    with pytest.raises(RecipeError, match="needs a teacher"):
        train(ENTRY, wanted, images(), tmp_path / "run", quiet)
    assert not (tmp_path / "run").exists()


def test_another_runs_folder_is_refused(whole: Path) -> None:
    with pytest.raises(CheckpointError, match="another recipe"):
        train(ENTRY, recipe(seed=6), images(), whole, quiet)
    with pytest.raises(CheckpointError, match="another data"):
        train(ENTRY, recipe(), images(1), whole, quiet)


def test_a_finished_run_is_returned_as_it_is(whole: Path) -> None:
    before = (whole / FILE).read_bytes()
    said: list[Event] = []
    saved: Checkpoint = train(ENTRY, recipe(), images(), whole, said.append)
    assert (whole / FILE).read_bytes() == before
    assert [event.event for event in said] == ["finished"]
    assert saved.processor.labels == ("dull", "red")


def test_images_of_another_size_are_refused() -> None:
    entry = image_entry("other", "none", "", Small, side=16, stages=("conv",))
    with pytest.raises(RecipeError, match="takes 16 px with 3 channels, 'noise' has 8 px"):
        processor_of(entry, recipe(), images())


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"optimizer": "adamx"}, "unknown optimizer 'adamx'"),
        ({"schedule": "cosin"}, "unknown schedule 'cosin'"),
        ({"epochs": 0}, "epochs is 0"),
        ({"label_smoothing": 1.0}, "label_smoothing is 1"),
        ({"ema": 1.5}, "ema is 1.5"),
        ({"shift": -1}, "shift is -1"),
        ({"distill_temperature": 0.0}, "distill_temperature is 0"),
        ({"class_weights": (1.0,)}, r"class_weights \[1.0\]"),
    ],
)
def test_values_that_cannot_be_trained_with_are_named(bad: dict[str, Any], words: str) -> None:
    with pytest.raises(TinymlError, match=words):
        processor_of(ENTRY, recipe(train=replace(TRAIN, **bad)), images())


def test_a_refused_pruning_leaves_nothing(tmp_path: Path) -> None:
    for asked in (replace(GRADUAL, layers="none*"), PruneRecipe("lottery", 0.5, rewind_step=99)):
        with pytest.raises(TinymlError):
            train(ENTRY, recipe(prune=asked), images(), tmp_path / "run", quiet)
        assert not (tmp_path / "run").exists()


def test_a_recipe_that_prunes_is_not_trained_densely(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="give its procedure"):
        training.train(ENTRY, recipe(prune=GRADUAL), images(), tmp_path / "run", quiet)
    assert not (tmp_path / "run").exists()


def test_another_parent_is_another_run(whole: Path, tmp_path: Path) -> None:
    one = checkpoint.load(whole)
    two = train(ENTRY, recipe(seed=6), images(), tmp_path / "two", quiet)
    first = train(ENTRY, recipe(prune=GRADUAL), images(), tmp_path / "out", quiet, one)
    assert first.facts.parent_sha256 == one.weights_sha256 != two.weights_sha256
    with pytest.raises(CheckpointError, match="began with another checkpoint"):
        train(ENTRY, recipe(prune=GRADUAL), images(), tmp_path / "out", quiet, two)


def test_a_lone_last_image_joins_the_batch_before_it() -> None:
    data = images(count=33)
    processor = processor_of(ENTRY, recipe(), data)
    batches = ImageBatches(data, processor, TRAIN)
    sizes = [len(labels) for _, labels in batches.epoch()]
    assert sizes == [16, 17]
    assert batches.steps == 2


def test_a_training_that_diverges_is_told_with_its_learning_rate(tmp_path: Path) -> None:
    wild = replace(TRAIN, learning_rate=1e18, label_smoothing=0.0)
    with pytest.raises(RecipeError, match="the loss is not finite in epoch") as caught:
        train(ENTRY, recipe(train=wild), images(), tmp_path / "run", quiet)
    assert "1e+18" in caught.value.hint
