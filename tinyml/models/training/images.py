"""Training on images: a recipe and an image set in, one checkpoint out.

Images stay mapped bytes; a batch is augmented and normalised as it is taken. The test
part draws the curve and is what the checkpoint is judged on; nothing is chosen by it.
Stopped at any time, the same call continues and writes the same bytes.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tinyml.core import checkpoint
from tinyml.core.checkpoint import Checkpoint
from tinyml.core.errors import RecipeError
from tinyml.core.events import Report
from tinyml.core.files import write_json
from tinyml.core.image_processor import ImageProcessor
from tinyml.core.recipe import Recipe, TrainRecipe
from tinyml.core.training_record import TrainingRecord
from tinyml.models.data.augment import augment, normalise
from tinyml.models.data.images import ImageSet, ImageSplit
from tinyml.models.protocol import Classifier, ModelEntry
from tinyml.models.training.fit import EVALUATION_BATCH, Criterion
from tinyml.models.training.image_metrics import image_metrics
from tinyml.models.training.learner import Learner
from tinyml.models.training.optimize import check_train
from tinyml.models.training.procedure import Procedure, procedure_of
from tinyml.models.training.run import (
    STATE,
    check_teacher,
    deterministic,
    finished,
    instruction_set,
    job_of,
    new_module,
    open_state,
    owned_folder,
    teacher_of,
)

CURVE = "curve.json"
FINAL = "final"


@dataclass(frozen=True, slots=True)
class ImageBatches:
    """Batches of a set's training part; validation is its test part."""

    data: ImageSet
    processor: ImageProcessor
    recipe: TrainRecipe

    @property
    def steps(self) -> int:
        """Optimizer steps of one epoch."""
        return len(self._starts()) - 1

    def epoch(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Every training image once, in random order, augmented."""
        part, starts = self.data.training, self._starts()
        order = torch.randperm(len(part.labels)).numpy()
        for start, end in itertools.pairwise(starts):
            # Sorted, so that the mapped file is read forwards.
            chosen = np.sort(order[start:end])
            images = torch.from_numpy(part.images[chosen])
            inputs = augment(images, self.processor, flip=self.recipe.flip, shift=self.recipe.shift)
            yield inputs, torch.from_numpy(part.labels[chosen])

    def _starts(self) -> list[int]:
        """Where each batch starts, and the end; a lone last image, which batch normalization
        cannot take, joins the batch before it."""
        count = len(self.data.training.labels)
        starts = list(range(0, count, self.recipe.batch_size))
        if len(starts) > 1 and count - starts[-1] == 1:
            starts.pop()
        return [*starts, count]

    def validate(self, module: Classifier, criterion: Criterion) -> dict[str, float]:
        """Loss and accuracy of the test part."""
        logits = classify_images(module, self.data.test, self.processor)
        labels = torch.from_numpy(self.data.test.labels)
        right = (logits.argmax(1) == labels).float().mean()
        return {
            "validation_loss": float(criterion(logits, labels)),
            "validation_accuracy": float(right),
        }


def train(
    entry: ModelEntry,
    recipe: Recipe,
    data: ImageSet,
    out: Path,
    report: Report,
    parent: Checkpoint | None = None,
    procedure: Procedure | None = None,
) -> Checkpoint:
    """Train one model; write ``checkpoint.safetensors`` and ``curve.json`` into ``out``.

    Continues a run that was stopped; a finished one is returned as it is. ``parent`` is the
    trained model that a ``procedure`` begins with, and the teacher of a distillation. Without
    a ``procedure`` every weight is trained. Raises `RecipeError`, `DataError`,
    `CheckpointError`, `UsageError`.
    """
    processor = processor_of(entry, recipe, data)
    batches = ImageBatches(data, processor, recipe.train)
    check_teacher(recipe, parent)
    procedure = procedure_of(recipe, procedure)
    procedure.check(recipe.train.epochs * batches.steps, from_parent=parent is not None)
    with owned_folder(out), deterministic(recipe.threads):
        done = finished(out, recipe, data.sha256, report, parent)
        if done is not None:
            return done
        state = open_state(out / STATE, job_of(FINAL, parent), recipe, data.sha256, report)
        learner = Learner(
            recipe=recipe,
            part=FINAL,
            title="training",
            batches=batches,
            state=state,
            save=lambda: state.save(out / STATE),
            report=report,
            initial=lambda name: _new(entry, recipe, len(processor.labels), f"{FINAL}{name}"),
            teacher=teacher_of(entry, recipe, parent),
        )
        module = procedure.train(learner, parent.weights if parent else None)
        record = replace(
            _record(data, processor, module, learner),
            pruning=procedure.pruned(module, parent),
            parent_sha256=parent.weights_sha256 if parent else None,
        )
        saved = _checkpoint(entry, recipe, processor, module, record)
        write_json(out / CURVE, record.curve)
        saved.save(out / checkpoint.FILE)
        (out / STATE).unlink()
        return saved


def processor_of(entry: ModelEntry, recipe: Recipe, data: ImageSet) -> ImageProcessor:
    """The model's decision with the set's labels; `RecipeError` for another kind or size."""
    check_train(recipe.train, len(data.labels))
    if recipe.threads <= 0:
        raise RecipeError(f"threads is {recipe.threads}: it must be positive")
    processor = entry.processor
    if not isinstance(processor, ImageProcessor):
        raise RecipeError(f"'{entry.name}' takes recordings, '{data.name}' is a set of images")
    if (processor.side, processor.channels) != (data.side, data.channels):
        raise RecipeError(
            f"'{entry.name}' takes {processor.side} px with {processor.channels} channels, "
            f"'{data.name}' has {data.side} px with {data.channels}"
        )
    return replace(processor, labels=data.labels)


def classify_images(module: Classifier, part: ImageSplit, processor: ImageProcessor) -> Tensor:
    """Logits [n, classes] of every image of ``part``, in eval mode."""
    module.eval()
    found = []
    with torch.no_grad():
        for start in range(0, len(part.labels), EVALUATION_BATCH):
            images = torch.from_numpy(part.images[start : start + EVALUATION_BATCH])
            found.append(module.classify(normalise(images, processor)))
    return torch.cat(found)


def _new(entry: ModelEntry, recipe: Recipe, classes: int, part: str) -> Any:
    module = new_module(entry, recipe, classes, part)
    return module.to(memory_format=torch.channels_last)


def _record(
    data: ImageSet, processor: ImageProcessor, module: Any, learner: Learner
) -> TrainingRecord:
    predictions = classify_images(module, data.test, processor).argmax(1).numpy()
    state = learner.state
    return TrainingRecord(
        data_set=data.name,
        data_sha256=data.sha256,
        warnings=tuple(data.warnings),
        threads=torch.get_num_threads(),
        instruction_set=instruction_set(),
        validation=image_metrics(data.labels, data.test.labels, predictions),
        curve=tuple(state.curves[state.part]),
        curves={part: tuple(rows) for part, rows in state.curves.items()},
        parameters=sum(p.numel() for p in module.parameters()),
    )


def _checkpoint(
    entry: ModelEntry,
    recipe: Recipe,
    processor: ImageProcessor,
    module: Any,
    record: TrainingRecord,
) -> Checkpoint:
    return Checkpoint(
        model=entry.name,
        weights={n: v.contiguous().numpy() for n, v in module.state_dict().items()},
        signature=entry.signature(len(processor.labels)),
        processor=processor,
        recipe=recipe,
        facts=record,
    )
