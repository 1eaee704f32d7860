"""A failed export leaves a reproduction that shows the divergence by itself."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from onnx import load, numpy_helper, save

from tinyml.core import bundle as bundles
from tinyml.core.bundle import Parity, StageParity
from tinyml.core.errors import ValidationError
from tinyml.core.typed_json import to_json
from tinyml.export import parity
from tinyml.pipeline import export as pipeline_export
from tinyml.pipeline.formats import by_runtime
from tinyml.pipeline.model_sources.workspace import Workspace
from tinyml.pipeline.outputs import reference
from tinyml.pipeline.outputs.compare_engines import compare_engines
from tinyml.pipeline.outputs.engines import installed
from tinyml.pipeline.steps.keep import write_repro


def silent(_: object) -> None:
    """Nobody listens."""


def repro(folder: Path, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """Run repro.py where this package cannot be imported."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    command = [sys.executable, "-P", str(folder / "repro.py")]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment
    )


def nudged(bundle: Path) -> None:
    """One weight of the classifier's ONNX file is off by one."""
    path = bundle / "funnelnet-fp32.onnx"
    model = load(path)
    held = max(
        (w for w in model.graph.initializer if len(w.dims) == 2), key=lambda w: np.prod(w.dims)
    )
    values = numpy_helper.to_array(held).copy()
    values.flat[0] += 1.0
    held.CopyFrom(numpy_helper.from_array(values, held.name))
    save(model, path)


def signature_beside(folder: Path) -> bundles.Bundle:
    """The bundle, with the part of ``capture.json`` that a script needs."""
    bundle = bundles.read(folder)
    text = json.dumps({"stages": {}, "signature": to_json(bundle.signature)})
    (folder / "capture.json").write_text(text)
    return bundle


def test_a_changed_weight_is_shown_at_its_stage_by_the_script(
    bundle_copy: Path, tmp_path: Path
) -> None:
    nudged(bundle_copy)
    bundle = signature_beside(bundle_copy)
    ready, _ = installed(bundle_copy, bundle.models)
    expected = reference.load(bundle_copy / bundles.REFERENCE)
    found = bundles.Parity(compare_engines(ready, expected, bundle.stages, silent))
    row = found.first_divergence
    assert row is not None
    assert row.engine == "onnxruntime"
    with pytest.raises(Exception, match=f"'{row.stage}' on '{row.case}' in the onnx file: error"):
        parity.gate(found, formats=by_runtime())
    write_repro(bundle_copy, row, bundle.models)
    shown = repro(bundle_copy, tmp_path)
    assert shown.returncode == 1, shown.stderr
    assert shown.stdout.startswith(f"{row.stage} in onnxruntime on {row.case}, allowed: ")
    assert f"largest error {row.max_error:.3g} at " in shown.stdout


@pytest.mark.parametrize("engine", ["litert", "litert+xnnpack", "onnxruntime+fusion"])
def test_a_row_that_agrees_is_said_to_agree(engine: str, bundle_copy: Path, tmp_path: Path) -> None:
    bundle = signature_beside(bundle_copy)
    row = next(r for r in bundle.parity.stages if r.engine == engine and r.case == "random")
    write_repro(bundle_copy, row, bundle.models)
    shown = repro(bundle_copy, tmp_path)
    assert "it agrees here" in shown.stderr
    assert f"largest error {row.max_error:.3g} at " in shown.stdout


def test_a_stage_of_the_program_is_read_with_torch(tmp_path: Path) -> None:
    import torch
    from torch import nn

    from tinyml.core.spec import Signature, TensorSpec
    from tinyml.export.capture.program import capture
    from tinyml.pipeline.outputs.reference import Reference

    signature = Signature((TensorSpec("x", (1, 4)),), (TensorSpec("y", (1, 3)),))

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
            self.head = nn.Linear(4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.body(x))

    capture(Net().eval(), signature, ("body",)).save(tmp_path)
    given = {"random": {"x": np.ones((1, 4), np.float32)}}
    wrong: Any = {"random": {"body": np.full((1, 4), 9.0, np.float32)}}
    Reference(given, wrong, {"random": {}}).save(tmp_path / bundles.REFERENCE)
    row = StageParity("captured", "random", "body", "fail", "rewrite", 9.0, 1e-6)
    write_repro(tmp_path, row, ())
    elsewhere = Path(shutil.copytree(tmp_path, tmp_path / "elsewhere"))
    shown = repro(elsewhere, tmp_path)
    assert shown.returncode == 1, shown.stderr
    assert "body in captured on random" in shown.stdout
    assert "PyTorch 9, here " in shown.stdout


@pytest.mark.parametrize(("name", "why"), [("draft", "exists"), ("new", "no space left in ")])
def test_the_verdict_comes_first_where_its_files_cannot_be_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, why: str
) -> None:
    def fails(*_: object) -> None:
        raise ValidationError("it diverges", hint="look")

    def is_full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    (draft := tmp_path / "draft").mkdir()
    (draft / "model.onnx").touch()
    (tmp_path / "logs").mkdir()
    monkeypatch.setattr(parity, "gate", fails)
    monkeypatch.setattr(shutil, "copyfile", is_full)
    job = SimpleNamespace(keep_failed=tmp_path / name)
    plan: Any = SimpleNamespace(accepted_loss=None, remedies="", job=job)
    work = Workspace(tmp_path)
    with pytest.raises(ValidationError, match="it diverges") as caught:
        pipeline_export._gate(plan, Parity(()), (), draft, work, ("lint: a",))
    assert caught.value.hint.startswith("look; its files could not be kept: ")
    assert why in caught.value.hint
    assert caught.value.details == ["lint: a"]
