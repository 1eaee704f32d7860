"""A recipe in, a run's folder out: a checkpoint, or cross-validated metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tinyml import checkpoint, recipe, registry
from tinyml.checkpoint import Checkpoint
from tinyml.errors import UsageError, require
from tinyml.image_decision import ImageDecision
from tinyml.pipeline.data import image_set, recording_set
from tinyml.pipeline.entries import entry_of_recipe
from tinyml.recipe import Recipe
from tinyml.spec import ModelEntry

Report = Callable[[Mapping[str, Any]], None]


def train(
    name: str, out: Path, *, folds: int, data: Path | None, strict: bool, report: Report
) -> dict[str, Any]:
    """Train ``name``'s recipe into ``out``; returns ``metrics`` and what was ``written``.

    With ``folds`` the persons are held out in turn and the pooled metrics are returned.
    Raises `RecipeError`, `DataError`, `CheckpointError` (a run of another recipe in
    ``out``), `MachineError`.
    """
    wanted = recipe.read(Path(name))
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
    """Train on whatever the model takes; ``parent`` is what pruning begins with."""
    entry = _entry(wanted)
    if isinstance(entry.decision, ImageDecision):
        from tinyml.models.training import images

        found = image_set(wanted, data, entry.decision, report=report)
        _warn(found.warnings, report)
        return images.train(entry, wanted, found, out, report, parent)
    from tinyml.models.training import recordings

    heard = recording_set(wanted, data, strict=strict)
    _warn(heard.warnings, report)
    return recordings.train(entry, wanted, heard, out, report, parent)


def _folds(
    wanted: Recipe, out: Path, folds: int, *, data: Path | None, strict: bool, report: Report
) -> dict[str, Any]:
    entry = _entry(wanted)
    if isinstance(entry.decision, ImageDecision):
        raise UsageError(
            f"--folds holds persons out; '{entry.name}' takes images",
            hint="an image set has a test part of its own: leave --folds out",
        )
    from tinyml.models.training.recordings import cross_validate

    found = recording_set(wanted, data, strict=strict)
    _warn(found.warnings, report)
    pooled = cross_validate(entry, wanted, found, folds, out, report)
    return {"metrics": pooled["pooled"], "written": str(out / "folds.json")}


def _entry(wanted: Recipe) -> ModelEntry:
    if wanted.model not in registry.MODELS:
        raise registry.unknown_name("model", wanted.model, registry.MODELS)
    require("torch", "torch", "train")
    return entry_of_recipe(wanted)


def _warn(warnings: Sequence[str], report: Report) -> None:
    for warning in warnings:
        report({"event": "warning", "text": f"warning: {warning}"})
