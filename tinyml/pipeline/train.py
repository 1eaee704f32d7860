"""A recipe in, a run's folder out: a checkpoint, or cross-validated metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tinyml import checkpoint, recipe, registry
from tinyml.errors import require
from tinyml.pipeline.data import recording_set
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
    if wanted.model not in registry.MODELS:
        raise registry.unknown_name("model", wanted.model, registry.MODELS)
    require("torch", "torch", "train")
    entry: ModelEntry = registry.load("model", wanted.model)
    found = recording_set(wanted, data, strict=strict)
    for warning in found.warnings:
        report({"event": "warning", "text": f"warning: {warning}"})
    from tinyml.models.training import recordings as training

    if folds:
        pooled = training.cross_validate(entry, wanted, found, folds, out, report)
        return {"metrics": pooled["pooled"], "written": str(out / "folds.json")}
    saved = training.train(entry, wanted, found, out, report)
    if find_spec("matplotlib") is not None:
        from tinyml.pages.plots import curve_plot

        curve_plot(saved.facts["curve"], out / "curve.png")
    return {"metrics": saved.facts["validation"], "written": str(out / checkpoint.FILE)}
