"""int8 weights alone from a module to a bundle: no calibration, the whole way, and refusals."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from quantized_user import NET, SHAPE, silent
from test_export_sparse import SAMPLE, mobile, pruned
from torch import nn

from tinyml import build_bundle
from tinyml.core import checkpoint
from tinyml.core.bundle import Bundle, read
from tinyml.core.errors import ExportError, UsageError
from tinyml.core.export_job import ExportJob, export_job
from tinyml.pages.card import model_card
from tinyml.pipeline.export import export
from tinyml.pipeline.inspect_sparse import inspect_sparse
from tinyml.pipeline.model_sources.entries import entry_of
from tinyml.pipeline.verify import verify

Cli = Callable[..., "subprocess.CompletedProcess[str]"]
CHECKPOINTS = Path(__file__).parents[2] / "examples" / "checkpoints"


@pytest.fixture
def user(tmp_path: Path) -> Path:
    """A folder with a network of the user's and one sample; nothing to calibrate on."""
    (tmp_path / "net.py").write_text(NET)
    random = np.random.default_rng(0)
    np.savez(tmp_path / "s.npz", image=random.standard_normal(SHAPE, np.float32))
    return tmp_path


def job(user: Path, **asked: Any) -> ExportJob:
    """An export of it with int8 weights."""
    chosen: dict[str, Any] = {
        "model": f"{user / 'net.py'}:build",
        "target": "rpi",
        "out": user / "out",
        "sample": user / "s.npz",
        "precision": "w8",
    }
    return export_job(**{**chosen, **asked})


def test_a_users_network_needs_no_calibration(user: Path) -> None:
    told: list[str] = []
    made = export(job(user), lambda event: told.append(getattr(event, "text", "")))
    for model in made.models:
        assert (model.precision, model.plan.ranges, model.plan.samples) == ("w8", "none", 0)
        schemes = [own.scheme for own in model.plan.tensors.values()]
        assert schemes.count("int8") == model.passes["to_w8"] == 3
        assert model.plan.kept == {}
        line = f"w8 {model.format}: 3 weights in int8, every activation in float32"
        assert line in told
        assert model.note.startswith("smaller, not faster: ")
        card = f"- {model.path}: only weights are quantized, every operation computes in float32"
        assert card in model_card(made)
    assert not any("calibrat" in line for line in told)
    rows = [row for row in made.parity.stages if row.policy == "w8"]
    assert {row.verdict for row in rows if row.case == "sample"} <= {"pass", "fused away"}
    assert all(row.sqnr_db > 30 for row in rows if row.case == "sample" and row.sqnr_db)
    assert verify(user / "out", silent).parity.passed


@pytest.mark.slow
def test_a_stage_keeps_its_weights_when_it_is_asked_for(user: Path) -> None:
    (model,) = export(job(user, keep_float=("head",), formats=("tflite",)), silent).models
    assert model.passes["to_w8"] == 2
    assert "asked for" in model.plan.kept.values()


@pytest.mark.parametrize(
    ("asked", "error", "said"),
    [
        pytest.param(
            {"model": "square"}, ExportError, "no operator to quantize", marks=pytest.mark.slow
        ),
        ({"keep_float": ("entry", "body", "head")}, ExportError, "no operator to quantize"),
        ({"keep_float": ("tail",)}, UsageError, "no stage 'tail'"),
        ({"io": "int8"}, UsageError, "the activations of w8 stay float32"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_nothing_is_written(
    user: Path, asked: dict[str, Any], error: type[Exception], said: str
) -> None:
    if "model" in asked:
        asked = {"model": f"{user / 'net.py'}:{asked['model']}"}
    with pytest.raises(error, match=said):
        export(job(user, formats=("tflite",), **asked), silent)
    assert not (user / "out").exists()


def of_weights(network: nn.Module, sample: Any, out: Path, sparse: str = "auto") -> Bundle:
    """Its .tflite file with int8 weights."""
    return build_bundle(
        network, sample, out=out, formats=("tflite",), precision="w8", sparse=sparse
    )


def test_pruned_weights_are_stored_sparse_with_the_same_answers(tmp_path: Path) -> None:
    made = {way: of_weights(pruned(), SAMPLE, tmp_path / way, way) for way in ("auto", "off")}
    counts = {way: own.models[0].passes.get("store_sparse", 0) for way, own in made.items()}
    assert counts == {"auto": 2, "off": 0}
    sizes = {way: own.file(own.models[0]).stat().st_size for way, own in made.items()}
    assert sizes["auto"] < 0.6 * sizes["off"]
    errors = [
        [row.max_error for row in own.parity.stages if row.policy == "w8"] for own in made.values()
    ]
    assert errors[0] == errors[1] != []


@pytest.mark.parametrize(
    ("between", "stored"),
    [(nn.ReLU(), 2), pytest.param(nn.MaxPool2d(2), 0, marks=pytest.mark.slow)],
)
def test_the_sparse_lint_sees_through_the_dequantize(
    tmp_path: Path, between: nn.Module, stored: int
) -> None:
    """A board runs them with sparse kernels; what it would compute wrongly is stored dense."""
    sample = {"image": np.zeros((1, 3, 32, 32), np.float32)}
    bundle = of_weights(mobile(between), sample, tmp_path / "b")
    assert bundle.models[0].passes.get("store_sparse", 0) == stored
    found = inspect_sparse(bundle.folder, bundle.target)
    assert (found.uses_sparse_kernels, found.runs_wrong, found.unchecked) == (
        stored == 2,
        False,
        False,
    )
    kernels = [layer.kernel for layer in found.layers if layer.sparsity > 0.5]
    assert kernels == ["spmm 32x1" if stored else "dense"] * 2


@pytest.mark.slow
def test_funnelnet_holds_with_its_front_end_in_float(
    cli: Cli, small_run: Path, tmp_path: Path
) -> None:
    out = tmp_path / "b"
    done = cli("export", small_run, "--target", "rpi", "--precision", "w8", "--out", out)
    assert done.returncode == 0, done.stderr
    assert "front end, up to 'normalization'" in done.stderr
    bundle = read(out)
    for model in bundle.models:
        assert {"scalogram", "normalization"} <= set(model.plan.exact)
        assert model.passes["to_w8"] == 9
    rows = [row for row in bundle.parity.stages if row.policy == "w8" and row.sqnr_db]
    assert min(row.sqnr_db or 0.0 for row in rows) > 30.0
    assert all(own.agreeing == own.count for own in bundle.parity.agreements)
    shown = cli("inspect", out)
    assert shown.returncode == 0, shown.stderr
    words = " ".join(shown.stdout.split())
    assert "DEQUANTIZE 9" in words
    assert "Cast 9" in words


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dense", "sparse90"])
def test_a_trained_mobilenet_holds(tmp_path: Path, name: str) -> None:
    """Of 28 layers, on a coarse picture: colours of eight by eight pixels, not noise."""
    saved = checkpoint.load(CHECKPOINTS / f"sparse-{name}.safetensors")
    entry = entry_of(saved)
    network = entry.build(len(saved.processor.labels))
    weights = {key: torch.from_numpy(array.copy()) for key, array in saved.weights.items()}
    network.load_state_dict(weights)
    (spec,) = saved.signature.inputs
    coarse = np.random.default_rng(0).standard_normal((1, 3, 4, 4), np.float32)
    picture = coarse.repeat(8, axis=2).repeat(8, axis=3)
    assert picture.shape == spec.shape
    made = build_bundle(network.eval(), {spec.name: picture}, out=tmp_path / "b", precision="w8")
    rows = [row for row in made.parity.stages if row.policy == "w8" and row.case == "sample"]
    assert {row.verdict for row in rows} <= {"pass", "fused away"}
    assert {row.engine for row in rows} >= {"onnxruntime+fusion", "litert+xnnpack"}
    assert min(row.sqnr_db for row in rows if row.sqnr_db) > 25.0
    assert {model.passes["to_w8"] for model in made.models} == {28}
    stored = made.models[-1].passes.get("store_sparse", 0)
    assert stored > 10 if name == "sparse90" else stored == 0
