"""A recipe in, a run's folder out: a checkpoint, or cross-validated metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tinyml.core import checkpoint, recipe
from tinyml.core.checkpoint import Checkpoint
from tinyml.core.errors import DataError, RecipeError, UsageError
from tinyml.core.image_processor import ImageProcessor
from tinyml.core.recipe import QAT, Recipe
from tinyml.pipeline.answers.data import image_set, recording_set
from tinyml.pipeline.sources.entries import entry_of_recipe

Report = Callable[[Mapping[str, Any]], None]
DENSE_RUNTIMES = "onnxruntime always, LiteRT on x86 with AVX"


def train(
    name: str, out: Path, *, folds: int, data: Path | None, strict: bool, report: Report
) -> dict[str, Any]:
    """Train ``name``'s recipe into ``out``; returns ``metrics`` and what was ``written``.

    With ``folds`` the persons are held out in turn and the pooled metrics are returned.
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

        curve_plot(saved.facts["curve"], out / "curve.png")
    return {"metrics": saved.facts["validation"], "written": str(out / checkpoint.FILE)}


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
        saved = images.train(entry, wanted, found, out, report, parent)
    else:
        from tinyml.models.training import recordings

        heard = recording_set(wanted, data, strict=strict)
        _check_same(heard.labels, heard.sha256, parent)
        _warn(heard.warnings, report)
        saved = recordings.train(entry, wanted, heard, out, report, parent)
    if wanted.prune.method and find_spec("matplotlib") is not None:
        from tinyml.pages.pruning import pruning_page

        pruning_page(saved, out)
    return saved


def _check_same(labels: Sequence[str], sha256: str, parent: Checkpoint | None) -> None:
    """Raise `DataError` unless a parent, if there is one, was trained on this data."""
    if parent is None:
        return
    if tuple(labels) != parent.processor.labels or sha256 != parent.facts["data_sha256"]:
        raise DataError(
            "this is not the data that the checkpoint was trained on",
            hint="give the same data with --data",
        )


def _warn_dense(block: int, report: Report) -> None:
    """Say that zeros are no speed where the runtime computes them like any other weight."""
    blocks = "" if block > 1 else "unstructured "
    text = f"warning: {blocks}zeros make nothing faster where they are run dense: {DENSE_RUNTIMES}"
    report({"event": "warning", "text": text})


def _folds(
    wanted: Recipe, out: Path, folds: int, *, data: Path | None, strict: bool, report: Report
) -> dict[str, Any]:
    entry = entry_of_recipe(wanted)
    if isinstance(entry.processor, ImageProcessor):
        raise UsageError(
            f"--folds holds persons out; '{entry.name}' takes images",
            hint="an image set has a test part of its own: leave --folds out",
        )
    from tinyml.models.training.recordings import cross_validate

    found = recording_set(wanted, data, strict=strict)
    _warn(found.warnings, report)
    pooled = cross_validate(entry, wanted, found, folds, out, report)
    return {"metrics": pooled["pooled"], "written": str(out / "folds.json")}


def _warn(warnings: Sequence[str], report: Report) -> None:
    for warning in warnings:
        report({"event": "warning", "text": f"warning: {warning}"})
