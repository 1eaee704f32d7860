"""A recipe in, a run's folder out: a checkpoint, or cross-validated metrics."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinyml.core import checkpoint, recipe, registry
from tinyml.core.checkpoint import Checkpoint
from tinyml.core.errors import DataError, RecipeError, UsageError
from tinyml.core.events import Report, Warned
from tinyml.core.export_settings import QAT
from tinyml.core.image_processor import ImageProcessor
from tinyml.core.recipe import Recipe
from tinyml.core.typed_json import to_json
from tinyml.models.protocol import ModelEntry
from tinyml.pipeline.model_sources.entries import entry_of_recipe
from tinyml.pipeline.outputs.data import image_set, recording_set

if TYPE_CHECKING:
    from tinyml.models.pruning.plan import PruningPlan
    from tinyml.models.training.procedure import Procedure

DENSE_RUNTIMES = "onnxruntime always, LiteRT on x86 with AVX"


def train(
    name: str, out: Path, *, folds: int, data: Path | None, strict: bool, report: Report
) -> dict[str, Any]:
    """Train ``name``'s recipe into ``out``; returns ``metrics`` and what was ``written``.

    With ``folds`` it cross-validates by subject and returns the pooled metrics.
    Raises `RecipeError`, `DataError`, `CheckpointError` (a run of another recipe in
    ``out``), `MachineError`.
    """
    wanted = recipe.read(Path(name))
    if wanted.quantization_aware:
        raise RecipeError(
            f"[export] precision '{QAT}' needs a trained network to begin with",
            hint="train with precision fp32, then: tinyml train --qat CHECKPOINT --out OTHER",
        )
    if folds:
        return _folds(wanted, out, folds, data=data, strict=strict, report=report)
    saved = train_recipe(wanted, out, data=data, strict=strict, report=report)
    if find_spec("matplotlib") is not None:
        from tinyml.pages.plots import curve_plot

        curve_plot(saved.trained.curve, out / "curve.png")
    return {"metrics": to_json(saved.trained.validation), "written": str(out / checkpoint.FILE)}


def train_recipe(
    wanted: Recipe,
    out: Path,
    *,
    data: Path | None,
    strict: bool,
    report: Report,
    parent: Checkpoint | None = None,
) -> Checkpoint:
    """Train on whatever the model takes; ``parent`` is what pruning or rounding begins with.

    A pruned run gets its page too.
    """
    entry = entry_of_recipe(wanted)
    if wanted.prune.method:
        _warn_dense(wanted.prune.block, report)
    if isinstance(entry.processor, ImageProcessor):
        from tinyml.models.training import images

        found = image_set(wanted, data, entry.processor, report=report)
        _check_same(found.labels, found.sha256, parent)
        _warn(found.warnings, report)
        procedure = _procedure(entry, wanted, len(found.labels))
        saved = images.train(entry, wanted, found, out, report, parent, procedure)
    else:
        from tinyml.models.training import recordings

        heard = recording_set(wanted, data, strict=strict)
        _check_same(heard.labels, heard.sha256, parent)
        _warn(heard.warnings, report)
        procedure = _procedure(entry, wanted, len(heard.labels))
        saved = recordings.train(entry, wanted, heard, out, report, parent, procedure)
    if wanted.prune.method and all(map(find_spec, ("matplotlib", "jinja2"))):
        from tinyml.pages.report.pruning import pruning_page

        pruning_page(saved, out)
    return saved


def plan_pruning(entry: ModelEntry, recipe: Recipe, classes: int) -> PruningPlan:
    """What ``recipe`` prunes of ``entry``'s model, checked.

    Raises `UsageError` for an unknown method, `RecipeError`, `InputError`.
    """
    from tinyml.models.pruning import plan

    method = registry.load("pruning method", recipe.prune.method)
    return plan.plan_pruning(entry.build(classes), recipe.prune, method, entry.sparsity)


def _procedure(entry: ModelEntry, recipe: Recipe, classes: int) -> Procedure | None:
    """How ``recipe`` trains: pruning, quantization-aware fine-tuning, or ``None`` for dense."""
    if recipe.prune.method:
        from tinyml.models.pruning.prune import Pruning

        return Pruning(plan_pruning(entry, recipe, classes))
    if recipe.quantization_aware:
        from tinyml.models.qat.fine_tune import FineTuning

        return FineTuning(entry.front_end)
    return None


def _check_same(labels: Sequence[str], sha256: str, parent: Checkpoint | None) -> None:
    """Raise `DataError` unless a parent, if there is one, was trained on this data."""
    if parent is None:
        return
    if tuple(labels) != parent.processor.labels or sha256 != parent.trained.data_sha256:
        raise DataError(
            f"the checkpoint of '{parent.model}' was trained on other data: "
            f"{parent.trained.data_sha256[:12]}, this is {sha256[:12]}",
            hint="give the same data with --data",
        )


def _warn_dense(block: int, report: Report) -> None:
    """Say that zeros are no speed where the runtime computes them like any other weight."""
    blocks = "" if block > 1 else "unstructured "
    text = f"warning: {blocks}zeros make nothing faster where they are run dense: {DENSE_RUNTIMES}"
    report(Warned(text))


def _folds(
    wanted: Recipe, out: Path, folds: int, *, data: Path | None, strict: bool, report: Report
) -> dict[str, Any]:
    entry = entry_of_recipe(wanted)
    if isinstance(entry.processor, ImageProcessor):
        raise UsageError(
            f"--folds splits by subject; '{entry.name}' takes images",
            hint="an image set has its own test part: omit --folds",
        )
    from tinyml.models.training.cross_validation import cross_validate

    found = recording_set(wanted, data, strict=strict)
    _warn(found.warnings, report)
    procedure = _procedure(entry, wanted, len(found.labels))
    pooled = cross_validate(entry, wanted, found, folds, out, report, procedure)
    return {"metrics": to_json(pooled.pooled), "written": str(out / "folds.json")}


def _warn(warnings: Sequence[str], report: Report) -> None:
    for warning in warnings:
        report(Warned(f"warning: {warning}"))
