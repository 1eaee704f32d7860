"""Labels and metrics of a data set, through PyTorch or through a bundle's own file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tinyml import bundle as bundles
from tinyml import checkpoint, registry
from tinyml.decision import Decision, Floats, of_recordings
from tinyml.errors import InputError, UsageError, require
from tinyml.models.training.metrics import person_metrics
from tinyml.models.training.predict import by_person, predict_recordings
from tinyml.pipeline.data import recording_set
from tinyml.pipeline.engines import choose
from tinyml.pipeline.predict import windows_through
from tinyml.recipe import Recipe

Report = Callable[[Mapping[str, Any]], None]
PARTS = ("validation", "all")


def evaluate(
    what: Path, *, part: str, data: Path | None, runtime: str | None, report: Report
) -> dict[str, Any]:
    """``metrics`` over persons, and per recording ``id``, ``person`` and ``probabilities``."""
    if part not in PARTS:
        raise registry.unknown_name("part", part, PARTS)
    opened = _bundle if (what / bundles.MANIFEST).is_file() else _checkpoint
    decision, recipe, facts, answer_windows = opened(what, runtime)
    found = recording_set(recipe, data)
    held_out = set(facts["split"]["validation"])
    left_out = set(facts["left_out"])
    usable = [r for r in found.recordings if r.id not in left_out]
    chosen = [r for r in usable if part == "all" or r.person in held_out]
    answers = predict_recordings(answer_windows, decision, chosen, report)
    persons = by_person(decision, [r.person for r in chosen], answers)
    worst: dict[str, int] = {}
    for recording in chosen:
        worst[recording.person] = min(worst.get(recording.person, recording.label), recording.label)
    return {
        "metrics": person_metrics(decision, worst, persons),
        "recordings": [
            {"id": r.id, "person": r.person, "probabilities": [float(p) for p in answer]}
            for r, answer in zip(chosen, answers, strict=True)
        ],
    }


Opened = tuple[Decision, Recipe, Mapping[str, Any], Callable[[Floats], Floats]]


def _bundle(folder: Path, runtime: str | None) -> Opened:
    bundle = bundles.read(folder)
    bundle.check_files()
    training = bundle.facts["training"]
    if bundle.decision is None or not training:
        raise InputError(f"{folder} does not say which data it was trained on")
    recipe = Recipe.from_json(bundle.facts["recipe"])
    return (
        of_recordings(bundle.decision),
        recipe,
        training,
        windows_through(choose(bundle, runtime)),
    )


def _checkpoint(path: Path, runtime: str | None) -> Opened:
    if runtime is not None:
        raise UsageError("--runtime chooses among a bundle's files; this is a checkpoint")
    saved = checkpoint.load(path)
    require("torch", "torch", "train")
    from tinyml.models.training.run import answer_windows, load_module

    module = load_module(registry.load("model", saved.model), saved)
    return of_recordings(saved.decision), saved.recipe, saved.facts, answer_windows(module)
