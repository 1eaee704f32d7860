"""Quantization-aware fine-tuning: a trained checkpoint in, a fine-tuned one out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tinyml.core import checkpoint
from tinyml.core.checkpoint import Checkpoint
from tinyml.core.errors import CheckpointError, require
from tinyml.core.events import Report
from tinyml.core.export_settings import QAT
from tinyml.core.recipe import PruneRecipe, Recipe
from tinyml.core.typed_json import to_json
from tinyml.pipeline.model_sources.entries import entry_of
from tinyml.pipeline.train import train_recipe

# Of the training that made the checkpoint: so many epochs, such a peak of the learning rate.
EPOCHS, LEARNING_RATE = 0.1, 0.1


@dataclass(frozen=True, slots=True)
class QatJob:
    """What the command line asks for; ``train`` are keys of [train] by name."""

    parent: Path
    train: Mapping[str, Any]
    data: Path | None = None


def train_rounded(job: QatJob, out: Path, report: Report) -> dict[str, Any]:
    """Fine-tune into ``out``; returns ``metrics`` (in float32) and what was ``written``.

    Raises `CheckpointError`, `RecipeError`, `MissingExtraError`, `UsageError` before any
    work; `DataError` for other data than the parent's.
    """
    require("torch", "torch", "qat")
    require("torchao", "torchao", "qat")
    from tinyml.models.training.run import load_module

    parent = checkpoint.load(job.parent)
    recipe = recipe_of(parent, job)
    load_module(entry_of(parent), parent)
    saved = train_recipe(recipe, out, data=job.data, strict=False, report=report, parent=parent)
    return {"metrics": to_json(saved.trained.validation), "written": str(out / checkpoint.FILE)}


def recipe_of(parent: Checkpoint, job: QatJob) -> Recipe:
    """The parent's recipe, shorter and gentler, for files of precision ``qat-w8a8``."""
    base = parent.recipe
    if parent.facts is None:
        raise CheckpointError(
            f"{job.parent} does not record which data it was trained on",
            hint="give a checkpoint of tinyml train",
        )
    if base.quantization_aware:
        raise CheckpointError(
            f"{job.parent} already went through quantization-aware fine-tuning",
            hint="give the checkpoint that it was made from, with more --epochs",
        )
    gentle: dict[str, Any] = {
        "epochs": max(1, round(EPOCHS * base.train.epochs)),
        "learning_rate": LEARNING_RATE * base.train.learning_rate,
        "schedule": "cosine",
        "warm_up_epochs": 0.0,
        "ema": 0.0,
        "distill_weight": 0.0,
    }
    return replace(
        base,
        name=f"{base.name}-qat",
        train=replace(base.train, **{**gentle, **job.train}),
        prune=PruneRecipe(),
        export=replace(base.export, precision=QAT),
    )
