"""The last step of an export: manifest, labels, card and script beside the model files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import tinyml
from tinyml.bundle import CARD, LABELS, MANIFEST, RUN, Bundle, ModelFile, Parity
from tinyml.checkpoint import Checkpoint
from tinyml.files import sha256, write_json, write_text
from tinyml.pages.card import model_card
from tinyml.pages.run_script import RUN_SCRIPT
from tinyml.pipeline.doctor import version_of
from tinyml.pipeline.lint import Findings
from tinyml.spec import ModelEntry

MAKERS = (
    "numpy",
    "torch",
    "onnxruntime",
    "onnxscript",
    "onnx-ir",
    "litert-torch",
    "ai-edge-litert",
)


def assemble(
    folder: Path,
    saved: Checkpoint,
    entry: ModelEntry,
    target: str,
    models: tuple[ModelFile, ...],
    parity: Parity,
    lint: Findings,
) -> Bundle:
    """Write everything but the model files and the reference, which lie in ``folder`` already."""
    decision = saved.decision
    write_text(folder / LABELS, "".join(f"{label}\n" for label in decision.labels))
    if any(model.format == "tflite" for model in models) and not decision.whole:
        write_text(folder / RUN, RUN_SCRIPT)
    bundle = Bundle(
        folder=folder,
        model=saved.model,
        target=target,
        signature=saved.signature,
        decision=decision,
        models=models,
        parity=parity,
        stages=entry.stages,
        front_end=entry.front_end,
        facts=_facts(saved, entry, lint),
        files=_files(folder),
    )
    write_text(folder / CARD, model_card(bundle, domain=entry.domain))
    bundle = replace(bundle, files=_files(folder))
    write_json(folder / MANIFEST, bundle.manifest())
    return bundle


def _files(folder: Path) -> dict[str, dict[str, Any]]:
    return {
        path.name: {"size": path.stat().st_size, "sha256": sha256(path)}
        for path in sorted(folder.iterdir())
        if path.name != MANIFEST
    }


def _facts(saved: Checkpoint, entry: ModelEntry, lint: Findings) -> Mapping[str, Any]:
    recipe = saved.recipe
    packages = {name: version_of(name) for name in MAKERS}
    return {
        "tinyml": tinyml.__version__,
        "recipe": recipe.to_json(),
        "recipe_id": recipe.id,
        "training": dict(saved.facts),
        "scalogram": entry.scalogram,
        "packages": packages,
        "lint": dict(lint),
    }
