"""Export end to end: the same bytes anywhere, no bundle out of tolerance."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tinyml.core import bundle as bundles
from tinyml.core import checkpoint, tolerance
from tinyml.core.errors import DataError, UsageError, ValidationError
from tinyml.core.export_job import export_job
from tinyml.core.tolerance import Tolerance
from tinyml.core.versions import version_of
from tinyml.pipeline.export import export

PACKAGE = Path(__file__).parents[2] / "tinyml"
REFERENCE_ENGINES = {"captured", "rewritten", "onnxruntime", "onnxruntime+fusion"}


def silent(_: object) -> None:
    """Nobody listens."""


@pytest.mark.slow
def test_another_checkout_in_another_folder_makes_the_same_model_files(
    small_run: Path, small_bundle: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "another place"
    shutil.copytree(PACKAGE, elsewhere / "tinyml")
    command = [sys.executable, "-m", "tinyml.cli.main", "export", str(small_run)]
    command += ["--target", "rpi", "--out", str(elsewhere / "out")]
    where = "import tinyml; print(tinyml.__file__)"
    found = subprocess.run(
        [sys.executable, "-c", where], cwd=elsewhere, capture_output=True, text=True, check=True
    )
    assert found.stdout.startswith(str(elsewhere))
    subprocess.run(command, cwd=elsewhere, check=True, capture_output=True)
    for name in ("funnelnet-fp32.onnx", "funnelnet-fp32.tflite", "reference.safetensors"):
        assert (elsewhere / "out" / name).read_bytes() == (small_bundle / name).read_bytes()


def test_out_of_tolerance_there_is_no_bundle_but_what_failed_can_be_kept(
    small_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = Tolerance(0.0, 0.0, "nothing but the same bits, which no other engine gives")
    monkeypatch.setitem(tolerance.POLICIES, "engine", exact)
    out, kept = tmp_path / "out", tmp_path / "kept"
    job = export_job(
        str(small_run), "xnnpack", out, formats=("tflite",), without_data=True, keep_failed=kept
    )
    with pytest.raises(
        ValidationError, match="litert differs from PyTorch at stage 'filter_bank'"
    ) as caught:
        export(job, silent)
    assert not out.exists()
    names = {path.name for path in kept.iterdir()}
    assert {"funnelnet-fp32.tflite", "reference.safetensors", "parity.json"} <= names
    assert {"program.pt2", "checkpoint.safetensors", "divergence.png", "repro.py"} <= names
    assert f"python {kept / 'repro.py'} shows it again" in caught.value.hint
    shown = subprocess.run(
        [sys.executable, str(kept / "repro.py")], capture_output=True, text=True, check=False
    )
    assert shown.returncode == 1, shown.stderr
    assert shown.stdout.startswith("filter_bank in litert on ")


def test_weights_alone_make_a_bundle_that_says_nobody_measured(
    small_run: Path, tmp_path: Path
) -> None:
    from safetensors.numpy import save_file

    saved = checkpoint.load(small_run)
    save_file(dict(saved.weights), tmp_path / "w.safetensors")
    job = export_job(
        "funnelnet",
        "host",
        tmp_path / "out",
        formats=("onnx",),
        weights=tmp_path / "w.safetensors",
    )
    bundle = export(job, silent)
    assert "accuracy was not measured" in bundle.parity.accuracy_note
    assert "Accuracy was not measured" in (tmp_path / "out" / "MODEL_CARD.md").read_text()
    assert {path.suffix for path in (tmp_path / "out").iterdir()} >= {".onnx"}
    assert bundles.read(tmp_path / "out").target == "xnnpack"
    joined = {"openvino+fusion"} if version_of("openvino") else set()
    assert {row.engine for row in bundle.parity.stages} - REFERENCE_ENGINES == joined


def test_validation_data_that_is_gone_stops_the_export(small_run: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="generated"):
        export(export_job(str(small_run), "rpi", tmp_path / "o", data=tmp_path), silent)


def test_validation_data_that_changed_stops_the_export(small_run: Path, tmp_path: Path) -> None:
    from dataclasses import replace

    saved = checkpoint.load(small_run)
    changed = replace(saved, facts=replace(saved.trained, data_sha256="0" * 64))
    changed.save(tmp_path / "c.safetensors")
    with pytest.raises(DataError, match="not the data"):
        export(export_job(str(tmp_path / "c.safetensors"), "rpi", tmp_path / "o"), silent)
