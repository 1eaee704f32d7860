"""The last step of an export: manifest, labels, card and script next to the model files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import tinyml
from tinyml import board_scripts
from tinyml.core.bundle import CARD, LABELS, MANIFEST, Bundle, ListedFile, ModelFile, Parity
from tinyml.core.bundle_facts import BundleFacts
from tinyml.core.files import sha256, write_json, write_text
from tinyml.core.recording_processor import RecordingProcessor
from tinyml.core.versions import version_of
from tinyml.pages.card import model_card
from tinyml.pipeline.formats import named
from tinyml.pipeline.model_sources.source import ExportedModel
from tinyml.pipeline.outputs.data import caveat

MAKERS = (
    "numpy",
    "torch",
    "onnxruntime",
    "onnxscript",
    "onnx-ir",
    "litert-torch",
    "ai-edge-litert",
    "ai-edge-quantizer",
)


def assemble(
    folder: Path,
    exported: ExportedModel,
    target: str,
    models: tuple[ModelFile, ...],
    parity: Parity,
    facts: BundleFacts,
) -> Bundle:
    """Write everything but the model files and the reference, which lie in ``folder`` already.

    ``facts``: the model's, with what was found of the files.
    """
    if exported.labels:
        write_text(folder / LABELS, "".join(f"{label}\n" for label in exported.labels))
    on_board = any(named(model.format).has_script for model in models)
    if on_board and not exported.is_part and _takes_files(exported):
        _copy_script(folder, board_scripts.RUN)
        if isinstance(exported.processor, RecordingProcessor):
            for script in board_scripts.LISTEN:
                _copy_script(folder, script)
    packages = {name: version_of(name) for name in MAKERS}
    bundle = Bundle(
        folder=folder,
        model=exported.name,
        target=target,
        signature=exported.signature,
        processor=exported.processor,
        models=models,
        parity=parity,
        stages=exported.stages,
        front_end=exported.front_end,
        facts=replace(facts, tinyml=tinyml.__version__, packages=packages),
        files=_files(folder),
    )
    trained_on = facts.training.data_set if facts.training else ""
    if not exported.is_part:
        write_text(folder / CARD, model_card(bundle, exported.domain, caveat(trained_on)))
    bundle = replace(bundle, files=_files(folder))
    write_json(folder / MANIFEST, bundle.manifest())
    return replace(bundle, digest=sha256(folder / MANIFEST))


def _copy_script(folder: Path, script: Path) -> None:
    write_text(folder / script.name, script.read_text(encoding="utf-8"))


def _takes_files(exported: ExportedModel) -> bool:
    """Whether `run.py` can feed the model: it squeezes no recording to a number of points."""
    processor = exported.processor
    return not (isinstance(processor, RecordingProcessor) and processor.whole)


def _files(folder: Path) -> dict[str, ListedFile]:
    """All but its own manifest: also those of bundles of streaming graphs in it."""
    return {
        path.relative_to(folder).as_posix(): ListedFile(path.stat().st_size, sha256(path))
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != folder / MANIFEST
    }
