"""A trained checkpoint in, a sparse one out; or what that would be, before it is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinyml.core import checkpoint
from tinyml.core.checkpoint import Checkpoint
from tinyml.core.errors import CheckpointError, RecipeError, require
from tinyml.core.events import Report
from tinyml.core.recipe import PruneRecipe, Recipe
from tinyml.core.typed_json import to_json
from tinyml.models.protocol import ModelEntry
from tinyml.pages.report.pruning import PAGE
from tinyml.pipeline.model_sources.entries import entry_of
from tinyml.pipeline.train import plan_pruning, train_recipe

if TYPE_CHECKING:
    from tinyml.models.pruning.plan import PruningPlan


@dataclass(frozen=True, slots=True)
class PruneJob:
    """What the command line asks for; ``None`` takes the checkpoint's recipe's.

    ``prune`` are keys of [prune], ``train`` keys of [train], both by name.
    """

    parent: Path
    prune: Mapping[str, Any]
    train: Mapping[str, Any]
    data: Path | None = None


def prune(job: PruneJob, out: Path, report: Report) -> dict[str, Any]:
    """Prune into ``out``; returns ``metrics``, ``pruning`` and what was ``written``.

    Raises `CheckpointError`, `RecipeError`, `InputError`, `UsageError` before any work;
    `DataError` for other data than the parent's.
    """
    parent, recipe = _prepared(job)
    plan_of(parent, recipe)
    saved = train_recipe(recipe, out, data=job.data, strict=False, report=report, parent=parent)
    return {
        "metrics": to_json(saved.trained.validation),
        "pruning": to_json(saved.trained.pruning),
        "written": str(out / checkpoint.FILE),
        "page": str(out / PAGE) if (out / PAGE).is_file() else None,
    }


def dry_run(job: PruneJob) -> dict[str, Any]:
    """What `prune` would make: ``layers``, ``macs`` dense and effective, bytes of the file.

    Shares are those of masks made from the parent's weights as they are now: exact layer
    by layer, an estimate where one ranking goes over all layers.
    """
    from tinyml.models.cost import macs_by_layer

    parent, recipe = _prepared(job)
    entry, chosen = entry_of(parent), plan_of(parent, recipe)
    module = entry.build(len(parent.processor.labels))
    masks = _masks(parent, chosen)
    blocks = {own.weight: own.block for own in chosen.layers.layers}
    weights = dict(module.named_parameters())
    rows = []
    for name, count in macs_by_layer(module, parent.signature).items():
        if not name:
            continue
        weight = weights[f"{name}.weight"]
        zeros = masks.get(f"{name}.weight", 0)
        rows.append(
            {
                "name": name,
                "shape": list(weight.shape),
                "weights": weight.numel(),
                "zeros": zeros,
                "sparsity": zeros / weight.numel(),
                "block": blocks.get(f"{name}.weight", 1),
                "macs": count,
                "effective_macs": round(count * (1 - zeros / weight.numel())),
            }
        )
    total = sum(parameter.numel() for parameter in module.parameters())
    return {"method": recipe.prune.method, "layers": rows, **_totals(rows, total)}


def _masks(parent: Checkpoint, chosen: PruningPlan) -> dict[str, int]:
    """Zeros of each layer under masks made from the parent's weights."""
    import torch

    scores = {
        own.weight: chosen.method.score(torch.from_numpy(parent.weights[own.weight].copy()))
        for own in chosen.layers.layers
    }
    return {name: int((~mask).sum()) for name, mask in chosen.layers.masks(scores, 1.0).items()}


def _totals(rows: list[dict[str, Any]], parameters: int) -> dict[str, Any]:
    """Bytes as float32: written dense, and with one index byte or two per value that is left."""
    zeros = sum(row["zeros"] for row in rows)
    indices = sum(
        (row["weights"] - row["zeros"]) // row["block"] * (1 if row["shape"][1] <= 256 else 2)
        for row in rows
        if row["zeros"]
    )
    return {
        "macs": sum(row["macs"] for row in rows),
        "effective_macs": sum(row["effective_macs"] for row in rows),
        "nonzero": parameters - zeros,
        "file_bytes": 4 * parameters,
        "packed_bytes": 4 * (parameters - zeros) + indices,
    }


def plan_of(parent: Checkpoint, recipe: Recipe) -> PruningPlan:
    """The checked plan of ``recipe`` for the parent's model; refuses what cannot be pruned."""
    require("torch", "torch", "train")
    from tinyml.models.training.run import load_module

    entry: ModelEntry = entry_of(parent)
    load_module(entry, parent)
    chosen = plan_pruning(entry, recipe, len(parent.processor.labels))
    if recipe.prune.rewind_step and recipe.train != parent.recipe.train:
        raise RecipeError(
            "[prune] rewind_step rewinds to the parent's own training, and [train] differs from it",
            hint="omit --epochs, --learning-rate and --distill",
        )
    if recipe.prune.control == "none":
        _check_layers(parent, chosen)
    return chosen


def _prepared(job: PruneJob) -> tuple[Checkpoint, Recipe]:
    parent = checkpoint.load(job.parent)
    if parent.facts is None:
        raise CheckpointError(
            f"{job.parent} does not record which data it was trained on",
            hint="give a checkpoint of tinyml train",
        )
    base = parent.recipe
    if base.quantization_aware:
        raise CheckpointError(
            f"{job.parent} already went through quantization-aware fine-tuning",
            hint="prune the checkpoint that it was made from, then tinyml train --qat that",
        )
    asked = replace(base.prune, **{"control": "none", **job.prune})
    if asked.control != "none":
        _check_ticket(parent, job)
        asked = replace(asked, initial=0.0)
    else:
        asked = replace(asked, initial=_sparsity(parent))
        _check_parent(parent, asked)
    name = base.name if base.name.endswith(f"-{asked.method}") else f"{base.name}-{asked.method}"
    return parent, replace(base, name=name, prune=asked, train=replace(base.train, **job.train))


def _sparsity(parent: Checkpoint) -> float:
    """What the parent was pruned to: as it was asked for, which layers share unequally."""
    pruning = parent.trained.pruning
    return float(parent.recipe.prune.sparsity or pruning.sparsity) if pruning else 0.0


def _check_ticket(parent: Checkpoint, job: PruneJob) -> None:
    """Raise `CheckpointError` for no ticket, `RecipeError` for options that its masks settle."""
    pruning, own = parent.trained.pruning, parent.recipe.prune
    if not pruning or pruning.method != "lottery" or own.control != "none":
        raise CheckpointError(
            f"{job.parent} is not a lottery ticket, whose masks a control takes",
            hint="tinyml prune TICKET --method lottery --control reinit",
        )
    for name in ("sparsity", "block", "block_axis", "layers", "scope", "rate", "rewind_step"):
        if job.prune.get(name, getattr(own, name)) != getattr(own, name):
            raise RecipeError(
                f"a control takes its ticket's masks: {name} is {getattr(own, name)} there",
                hint=f"omit --{name.replace('_', '-')}",
            )


def _check_parent(parent: Checkpoint, asked: PruneRecipe) -> None:
    """Raise `CheckpointError` for zeros of another method, or as many as are asked for."""
    pruning = parent.trained.pruning
    if pruning and pruning.method != asked.method:
        raise CheckpointError(
            f"this checkpoint was pruned by '{pruning.method}' already",
            hint=f"prune its dense parent by '{asked.method}', or go on with the same method",
        )
    if pruning and 0 < asked.sparsity <= asked.initial:
        raise CheckpointError(
            f"this checkpoint was pruned to {asked.initial:g} already: "
            f"a sparsity of {asked.sparsity:g} prunes nothing",
            hint="ask for a higher --sparsity",
        )


def _check_layers(parent: Checkpoint, chosen: PruningPlan) -> None:
    """Raise `CheckpointError` for zeros outside of the plan, or more than it has."""
    pruning = parent.trained.pruning
    if not pruning:
        return
    planned = {own.weight: own for own in chosen.layers.layers}
    for row in pruning.layers:
        own = planned.get(f"{row.name}.weight")
        if row.zeros and own is None:
            raise CheckpointError(
                f"layer '{row.name}' is pruned already and would fill up again",
                hint="name it in --layers too, or prune the dense parent",
            )
        wanted = own.zeros(1.0) if own is not None else 0.0
        if chosen.layers.scope == "layer" and row.zeros > wanted * row.weights + 1:
            raise CheckpointError(
                f"{row.share:.3f} of layer '{row.name}' are zero already, "
                f"{wanted:.3f} are asked for",
                hint="ask for a higher --sparsity",
            )
