"""Training on images: a recipe and an image set in, one checkpoint out.

Images stay mapped bytes; a batch is augmented and normalised as it is taken. The test
part draws the curve and is what the checkpoint is judged on; nothing is chosen by it.
Stopped at any time, the same call continues and writes the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tinyml import checkpoint
from tinyml.checkpoint import Checkpoint
from tinyml.errors import RecipeError
from tinyml.files import write_json
from tinyml.image_decision import ImageDecision
from tinyml.models.data.augment import augment, normalise
from tinyml.models.data.images import ImageSet, ImageSplit
from tinyml.models.prune.facts import pruning_facts
from tinyml.models.training.fit import EVALUATION_BATCH, Criterion
from tinyml.models.training.image_metrics import image_metrics
from tinyml.models.training.learn import learn
from tinyml.models.training.learner import Learner
from tinyml.models.training.optimize import check_train
from tinyml.models.training.run import (
    STATE,
    deterministic,
    finished,
    instruction_set,
    load_module,
    new_module,
    open_state,
    owned_folder,
)
from tinyml.recipe import Recipe, TrainRecipe
from tinyml.spec import ModelEntry

Report = Callable[[Mapping[str, Any]], None]

CURVE = "curve.json"
FINAL = "final"


@dataclass(frozen=True, slots=True)
class ImageBatches:
    """Batches of a set's training part; validation is its test part."""

    data: ImageSet
    decision: ImageDecision
    recipe: TrainRecipe

    @property
    def steps(self) -> int:
        """Optimizer steps of one epoch."""
        return -(-len(self.data.training.labels) // self.recipe.batch_size)

    def epoch(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Every training image once, in random order, augmented."""
        part = self.data.training
        order = torch.randperm(len(part.labels)).numpy()
        for start in range(0, len(order), self.recipe.batch_size):
            # Sorted, so that the mapped file is read forwards.
            chosen = np.sort(order[start : start + self.recipe.batch_size])
            images = torch.from_numpy(part.images[chosen])
            inputs = augment(images, self.decision, flip=self.recipe.flip, shift=self.recipe.shift)
            yield inputs, torch.from_numpy(part.labels[chosen])

    def validate(self, module: Any, criterion: Criterion) -> dict[str, float]:
        """Loss and accuracy of the test part."""
        logits = classify_images(module, self.data.test, self.decision)
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
) -> Checkpoint:
    """Train one model; write ``checkpoint.safetensors`` and ``curve.json`` into ``out``.

    Continues a run that was stopped; a finished one is returned as it is. ``parent`` is
    the trained model that pruning begins with, and the teacher of a distillation. Raises
    `RecipeError`, `DataError`, `CheckpointError`, `UsageError`.
    """
    decision = decision_of(entry, recipe, data)
    if recipe.train.distill_weight and parent is None:
        raise RecipeError(
            "distill_weight needs a teacher", hint="tinyml prune CHECKPOINT --distill"
        )
    with owned_folder(out), deterministic(recipe.threads):
        done = finished(out, recipe, data.sha256, report)
        if done is not None:
            return done
        state = open_state(out / STATE, FINAL, recipe, data.sha256, report)
        learner = Learner(
            recipe=recipe,
            part=FINAL,
            title="training",
            batches=ImageBatches(data, decision, recipe.train),
            state=state,
            save=lambda: state.save(out / STATE),
            report=report,
            initial=lambda name: _new(entry, recipe, len(decision.labels), f"{FINAL}{name}"),
            teacher=_teacher(entry, parent) if recipe.train.distill_weight else None,
        )
        module = learn(learner, entry, parent.weights if parent else None)
        saved = _checkpoint(entry, recipe, decision, data, module, learner)
        write_json(out / CURVE, saved.facts["curve"])
        saved.save(out / checkpoint.FILE)
        (out / STATE).unlink()
        return saved


def decision_of(entry: ModelEntry, recipe: Recipe, data: ImageSet) -> ImageDecision:
    """The model's decision with the set's labels; `RecipeError` for another kind or size."""
    check_train(recipe.train, len(data.labels))
    if recipe.threads <= 0:
        raise RecipeError(f"threads is {recipe.threads}: it must be positive")
    own = entry.decision
    if not isinstance(own, ImageDecision):
        raise RecipeError(f"'{entry.name}' takes recordings, '{data.name}' is a set of images")
    if (own.side, own.channels) != (data.side, data.channels):
        raise RecipeError(
            f"'{entry.name}' takes {own.side} px with {own.channels} channels, "
            f"'{data.name}' has {data.side} px with {data.channels}"
        )
    return replace(own, labels=data.labels)


def classify_images(module: Any, part: ImageSplit, decision: ImageDecision) -> Tensor:
    """Logits [n, classes] of every image of ``part``, in eval mode."""
    module.eval()
    found = []
    with torch.no_grad():
        for start in range(0, len(part.labels), EVALUATION_BATCH):
            images = torch.from_numpy(part.images[start : start + EVALUATION_BATCH])
            found.append(module.classify(normalise(images, decision)))
    return torch.cat(found)


def _new(entry: ModelEntry, recipe: Recipe, classes: int, part: str) -> Any:
    module = new_module(entry, recipe, classes, part)
    return module.to(memory_format=torch.channels_last)


def _teacher(entry: ModelEntry, parent: Checkpoint | None) -> Callable[[Tensor], Tensor] | None:
    if parent is None:
        return None
    module: Any = load_module(entry, parent).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    classify: Callable[[Tensor], Tensor] = module.classify
    return classify


def _checkpoint(
    entry: ModelEntry,
    recipe: Recipe,
    decision: ImageDecision,
    data: ImageSet,
    module: Any,
    learner: Learner,
) -> Checkpoint:
    logits = classify_images(module, data.test, decision)
    answers = logits.argmax(1).numpy()
    weights = {n: v.contiguous().numpy() for n, v in module.state_dict().items()}
    return Checkpoint(
        model=entry.name,
        weights=weights,
        signature=entry.signature(len(decision.labels)),
        decision=decision,
        recipe=recipe,
        facts={
            "data_set": data.name,
            "data_sha256": data.sha256,
            "warnings": list(data.warnings),
            "threads": torch.get_num_threads(),
            "instruction_set": instruction_set(),
            "validation": image_metrics(data.labels, data.test.labels, answers),
            "curve": learner.state.curves[learner.state.part],
            "curves": learner.state.curves,
            "pruning": pruning_facts(module, recipe.prune),
            "parameters": sum(p.numel() for p in module.parameters()),
        },
    )
