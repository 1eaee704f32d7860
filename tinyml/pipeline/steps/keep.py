"""``--keep-failed``: what an export that failed parity leaves, with the divergence in small.

DIR/
  <model files>  reference.safetensors   as they would have been shipped
  program.pt2  capture.json              the program that the files were written from
  checkpoint.safetensors                 the weights
  *.log  parity.json  divergence.png     what was said and found; the picture of it
  repro.py  repro.json  repro.npz  repro.<format>   numpy and the runtime show it again
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinyml import board_scripts
from tinyml.core.array_files import write_npz
from tinyml.core.bundle import REFERENCE, ModelFile, Parity, StageParity
from tinyml.core.errors import InputError, MissingExtraError
from tinyml.core.files import write_json, write_text
from tinyml.core.folders import new_folder
from tinyml.core.parts import OUTPUT, STAGE
from tinyml.core.spec import Array
from tinyml.core.typed_json import to_json
from tinyml.pages.divergence import divergence_plot
from tinyml.pipeline import formats
from tinyml.pipeline.model_sources.workspace import PROGRAM, Workspace
from tinyml.pipeline.outputs import reference
from tinyml.pipeline.outputs.reference import Reference
from tinyml.pipeline.steps.instrumented import SUFFIX

PICTURE, SCRIPT = "divergence.png", "repro.py"
REPRO = "repro"
# Of PyTorch's value in `repro.npz`: no input can be called so. `repro.py` has it too.
WANT = "/want"


@dataclass(frozen=True, slots=True)
class _Repro:
    """How to see one row again: ``tensor`` of ``model``, brought into ``order``, against ``want``.

    ``inputs`` are those that a cut model still takes; empty: all.
    """

    runtime: str
    model: str
    tensor: str
    want: Array
    order: tuple[int, ...] | None = None
    optimised: bool = False
    inputs: tuple[str, ...] = ()


def keep_failed(
    folder: Path, proof: Parity, models: tuple[ModelFile, ...], draft: Path, work: Workspace
) -> None:
    """Make ``folder`` of the failed export in ``draft`` and ``work``; `UsageError` if it exists."""
    with new_folder(folder) as kept:
        evidence = work.evidence(own.format for own in models)
        # One by one: `shutil.copytree` hides that the disk is full in an error without a number.
        for path in (*draft.iterdir(), *evidence, *work.logs.iterdir()):
            if path.exists():
                shutil.copy(path, kept)
        text = json.dumps(to_json(proof), indent=2)
        (kept / "parity.json").write_text(text, encoding="utf-8")
        try:
            divergence_plot(proof, kept / PICTURE)
        except MissingExtraError as error:
            write_text(kept / "divergence.txt", f"no picture: {error.message}; {error.hint}\n")
        row = proof.first_divergence
        if row is not None:
            write_repro(kept, row, models)


def write_repro(folder: Path, row: StageParity, models: tuple[ModelFile, ...]) -> None:
    """Write ``repro.*`` for ``row`` into ``folder``, which holds all the rest."""
    known = reference.load(folder / REFERENCE)
    repro = _repro(folder, row, models, known)
    given = known.inputs[row.case]
    arrays = {name: given[name] for name in repro.inputs or given}
    write_npz(folder / f"{REPRO}.npz", {**arrays, WANT: repro.want})
    job: dict[str, Any] = {
        "runtime": repro.runtime,
        "engine": row.engine,
        "stage": row.stage,
        "case": row.case,
        "bound": row.bound or 0.0,
        "part": _part(known, row),
        "model": repro.model,
        "tensor": repro.tensor,
        "order": repro.order,
        "optimised": repro.optimised,
        "inputs": _input_order(folder),
    }
    write_json(folder / f"{REPRO}.json", job)
    write_text(folder / SCRIPT, board_scripts.REPRO.read_text(encoding="utf-8"))


def _part(known: Reference, row: StageParity) -> tuple[int, tuple[int, ...]] | None:
    """Axis and places of the part that ``row`` is about; ``None``: the whole tensor."""
    several = [own for kind in (STAGE, OUTPUT) for own in known.parts(kind).get(row.stage, ())]
    found = (part for part in several if str(part) == row.part)
    return next(((part.axis, part.places) for part in found), None)


def _repro(
    folder: Path, row: StageParity, models: tuple[ModelFile, ...], known: Reference
) -> _Repro:
    runtime = row.engine.partition("+")[0]
    model = next((m for m in models if m.format == formats.by_runtime().get(runtime)), None)
    if model is None:
        return _in_program(folder, row, known)
    own = formats.named(model.format)
    if row.engine == formats.runtime_of(own).optimised:
        want = known.outputs[row.case][row.stage]
        return _Repro(runtime, model.path, row.stage, want, optimised=True)
    want = known.stages[row.case][row.stage]
    if row.engine.endswith(SUFFIX):
        return _Repro(runtime, Workspace(folder).instrumented(model.format).name, row.stage, want)
    tensor = model.stages[row.stage]
    assert tensor is not None, "a stage that was fused away has no divergence"
    small = f"{REPRO}.{model.format}"
    try:
        inputs = own.cut(folder / model.path, tensor, folder / small)
    except InputError:
        return _whole(runtime, model, row, known)
    return _Repro(runtime, small, tensor, want, model.layouts.get(row.stage), inputs=inputs)


def _whole(runtime: str, model: ModelFile, row: StageParity, known: Reference) -> _Repro:
    """A file that cannot be cut at the stage: its first output instead."""
    output, want = next(iter(known.outputs[row.case].items()))
    return _Repro(runtime, model.path, output, want)


def _in_program(folder: Path, row: StageParity, known: Reference) -> _Repro:
    """Of the program that was written: the one as captured is not kept, it has the same stages."""
    captured = Workspace(folder).load_program()
    named = {**captured.outputs, **captured.stages}
    stage = row.stage in captured.stages
    want = (known.stages if stage else known.outputs)[row.case][row.stage]
    return _Repro("torch", PROGRAM, named[row.stage] or "", want)


def _input_order(folder: Path) -> list[str]:
    signature = json.loads(Workspace(folder).names.read_text(encoding="utf-8"))["signature"]
    return [spec["name"] for spec in signature["inputs"]]
