"""The first child of an export: builds the module, captures it, and writes what PyTorch says.

``python -m tinyml.pipeline.capture CHECKPOINT FOLDER SECONDS``: FOLDER holds ``cases.safetensors``
(the inputs of every parity case) and maybe ``windows.npy`` (every validation window). Into
it go ``program.pt2`` and ``capture.json`` for the writers, ``reference.safetensors``,
``captured.json`` (parity of the captured program, passes with counts) and
``probabilities.npy`` (PyTorch's answer to each window). A module that cannot be captured is
searched for the part to blame, for SECONDS at most.
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tinyml import checkpoint, registry
from tinyml.bundle import REFERENCE, StageParity
from tinyml.errors import ExportError
from tinyml.export import parity
from tinyml.files import write_json
from tinyml.pipeline import reference
from tinyml.pipeline.reference import Reference
from tinyml.spec import Array, ModelEntry, Signature

if TYPE_CHECKING:
    from torch import nn

    from tinyml.export.capture import Captured

CASES = "cases.safetensors"
WINDOWS = "windows.npy"
PROBABILITIES = "probabilities.npy"
FACTS = "captured.json"
LOGS = "logs"
LOG = "capture.log"
BATCH = 32


def main(arguments: list[str]) -> None:
    """Do it for the checkpoint and folder in ``arguments``."""
    from tinyml.export.bisect import explain
    from tinyml.export.capture import capture
    from tinyml.export.passes.torch import rewrite
    from tinyml.models.train import load_module

    source, folder = Path(arguments[0]), Path(arguments[1])
    saved = checkpoint.load(source)
    entry: ModelEntry = registry.load("model", saved.model)
    module = load_module(entry, saved)
    try:
        captured = capture(module, saved.signature, entry.stages)
    except ExportError as error:
        log, budget_s = folder / LOGS / LOG, float(arguments[2])
        raise explain(module, saved.signature, error, log=log, budget_s=budget_s) from error
    expected = answers(module, saved.signature, entry.stages, folder)
    rows = _rows("captured", captured, expected, entry.stages)
    rewritten, counts = rewrite(captured)
    rows += _rows("rewritten", rewritten, expected, entry.stages)
    rewritten.save(folder)
    write_json(folder / FACTS, {"passes": counts, "parity": [dataclasses.asdict(r) for r in rows]})
    if (folder / WINDOWS).exists():
        np.save(folder / PROBABILITIES, _probabilities(module, saved.signature, folder))


def answers(
    module: nn.Module, signature: Signature, stages: tuple[str, ...], folder: Path
) -> Reference:
    """PyTorch's stages and outputs for every case in ``folder``; saved there too."""
    from tinyml.export.stage_values import eager_values

    inputs = reference.load(folder / CASES).inputs
    values = {
        case: eager_values(module, given, signature, stages) for case, given in inputs.items()
    }
    expected = Reference(
        inputs=inputs,
        stages={case: inside for case, (inside, _) in values.items()},
        outputs={case: outputs for case, (_, outputs) in values.items()},
    )
    expected.save(folder / REFERENCE)
    return expected


def _rows(
    engine: str, captured: Captured, expected: Reference, stages: tuple[str, ...]
) -> list[StageParity]:
    from tinyml.export.stage_values import captured_values

    rows: list[StageParity] = []
    for case, inputs in expected.inputs.items():
        inside, outputs = captured_values(captured, inputs)
        rows += parity.compare(engine, case, expected.stages[case], inside, stages)
        wanted = expected.outputs[case]
        rows += parity.compare(engine, case, wanted, outputs, list(wanted))
    return rows


def _probabilities(module: nn.Module, signature: Signature, folder: Path) -> Array:
    """[windows, classes] of the module in eval mode, in batches."""
    import torch

    windows = np.load(folder / WINDOWS, mmap_mode="r")
    name, output = signature.inputs[0].name, signature.outputs[0].name
    answered = []
    with torch.no_grad():
        for start in range(0, len(windows), BATCH):
            batch = torch.from_numpy(np.array(windows[start : start + BATCH]))
            answered.append(module(**{name: batch})[output].numpy())
    return np.concatenate(answered)


if __name__ == "__main__":
    main(sys.argv[1:])
