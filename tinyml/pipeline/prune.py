"""A trained checkpoint in, a sparse one out; or what that would be, before it is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tinyml import checkpoint
from tinyml.checkpoint import Checkpoint
from tinyml.errors import CheckpointError, require
from tinyml.pipeline.entries import entry_of
from tinyml.pipeline.train import train_recipe
from tinyml.recipe import PruneRecipe, Recipe
from tinyml.spec import ModelEntry

Report = Callable[[Mapping[str, Any]], None]
DENSE_RUNTIMES = "onnxruntime always, LiteRT on x86 with AVX"


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

    Raises `CheckpointError`, `RecipeError`, `InputError`, `UsageError` before any work.
    """
    parent, recipe = _prepared(job)
    plan_of(parent, recipe)
    warn_dense(recipe.prune, report)
    saved = train_recipe(recipe, out, data=job.data, strict=False, report=report, parent=parent)
    page = None
    if find_spec("matplotlib") is not None:
        from tinyml.pages.pruning import pruning_page

        page = pruning_page(saved, out)
    return {
        "metrics": saved.facts["validation"],
        "pruning": saved.facts["pruning"],
        "written": str(out / checkpoint.FILE),
        "page": str(page) if page else None,
    }


def dry_run(job: PruneJob) -> dict[str, Any]:
    """What `prune` would make: ``layers``, ``macs`` dense and effective, bytes of the file."""
    from tinyml.models.cost import macs_by_layer

    parent, recipe = _prepared(job)
    entry = entry_of(parent)
    chosen = plan_of(parent, recipe)
    shares = {layer.weight.removesuffix(".weight"): layer for layer in chosen.layers.layers}
    module = entry.build(len(parent.decision.labels))
    macs = macs_by_layer(module, parent.signature)
    weights = dict(module.named_parameters())
    rows = [
        {
            "name": name,
            "shape": list(weights[f"{name}.weight"].shape),
            "weights": weights[f"{name}.weight"].numel(),
            "sparsity": shares[name].zeros(1.0) if name in shares else 0.0,
            "block": shares[name].block if name in shares else 1,
            "macs": count,
            "effective_macs": round(count * (1 - shares[name].zeros(1.0)))
            if name in shares
            else count,
        }
        for name, count in macs.items()
        if name
    ]
    total = sum(parameter.numel() for parameter in module.parameters())
    return {"method": recipe.prune.method, "layers": rows, **_totals(rows, total)}


def _totals(rows: list[dict[str, Any]], parameters: int) -> dict[str, Any]:
    """Bytes as float32: written dense, and with one index byte or two per value that is left."""
    zeros = sum(round(row["weights"] * row["sparsity"]) for row in rows)
    indices = sum(
        (row["weights"] - round(row["weights"] * row["sparsity"]))
        // row["block"]
        * (1 if row["shape"][1] <= 256 else 2)
        for row in rows
        if row["sparsity"]
    )
    return {
        "macs": sum(row["macs"] for row in rows),
        "effective_macs": sum(row["effective_macs"] for row in rows),
        "nonzero": parameters - zeros,
        "file_bytes": 4 * parameters,
        "packed_bytes": 4 * (parameters - zeros) + indices,
    }


def warn_dense(asked: PruneRecipe, report: Report) -> None:
    """Say that zeros are no speed where the runtime computes them like any other weight."""
    blocks = "" if asked.block > 1 else "unstructured "
    report(
        {
            "event": "warning",
            "text": f"warning: {blocks}zeros make nothing faster where they are run dense: "
            f"{DENSE_RUNTIMES}",
        }
    )


def plan_of(parent: Checkpoint, recipe: Recipe) -> Any:
    """The checked plan of ``recipe`` for the parent's model; refuses what cannot be pruned."""
    require("torch", "torch", "train")
    from tinyml.models.prune.prune import plan

    entry: ModelEntry = entry_of(parent)
    chosen = plan(entry.build(len(parent.decision.labels)), recipe.prune, entry.sparsity)
    if recipe.prune.control != "none":
        _check_ticket(parent)
    else:
        _check_parent(parent, recipe.prune, [layer.weight for layer in chosen.layers.layers])
    return chosen


def _prepared(job: PruneJob) -> tuple[Checkpoint, Recipe]:
    parent = checkpoint.load(job.parent)
    if "split" not in parent.facts and "curve" not in parent.facts:
        raise CheckpointError(
            f"{job.parent} does not say which data it was trained on",
            hint="give a checkpoint of tinyml train",
        )
    base = parent.recipe
    asked = replace(base.prune, **job.prune)
    asked = replace(asked, initial=_sparsity(parent) if asked.control == "none" else 0.0)
    name = f"{base.name}-{asked.method}"
    return parent, replace(base, name=name, prune=asked, train=replace(base.train, **job.train))


def _sparsity(parent: Checkpoint) -> float:
    """What the parent was pruned to: as it was asked for, which layers share unequally."""
    pruning = parent.facts.get("pruning")
    return float(parent.recipe.prune.sparsity or pruning["sparsity"]) if pruning else 0.0


def _check_ticket(parent: Checkpoint) -> None:
    pruning = parent.facts.get("pruning")
    if not pruning or pruning["method"] != "lottery":
        raise CheckpointError(
            "a control takes the masks of a lottery ticket, and this checkpoint is none",
            hint="tinyml prune TICKET --method lottery --control reinit",
        )


def _check_parent(parent: Checkpoint, asked: PruneRecipe, names: list[str]) -> None:
    """Raise `CheckpointError` for zeros of another method, or more than are asked for."""
    pruning = parent.facts.get("pruning")
    if pruning and pruning["method"] != asked.method:
        raise CheckpointError(
            f"this checkpoint was pruned by '{pruning['method']}' already",
            hint=f"prune its dense parent by '{asked.method}', or go on with the same method",
        )
    total = sum(parent.weights[name].size for name in names)
    zeros = sum(int((parent.weights[name] == 0).sum()) for name in names)
    if asked.sparsity and zeros >= asked.sparsity * total:
        raise CheckpointError(
            f"{zeros / total:.3f} of these weights are zero already: "
            f"a sparsity of {asked.sparsity:g} prunes nothing",
            hint="ask for a higher --sparsity",
        )
