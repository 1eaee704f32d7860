"""``--precision fp16`` end to end: both formats, checked, explained, verified without torch."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from shared_folder import shared_folder

from tinyml.core import bundle as bundles
from tinyml.core.bundle import ModelFile
from tinyml.core.plan_record import CONSTANT, Float16Record
from tinyml.pipeline.inspect import inspect

ROOT = Path(__file__).parents[2]
NO_TORCH = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "litert_torch", "onnxscript", "ai_edge_quantizer"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Refuse())
sys.argv = ["tinyml", "verify", sys.argv[1]]
import runpy
runpy.run_module("tinyml.cli.main", run_name="__main__")
"""
Cli = Callable[..., "subprocess.CompletedProcess[str]"]
Made = tuple[Path, str]


@pytest.fixture(scope="module")
def half(small_run: Path, cli: Cli, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The fp16 bundle of the small run, and what was printed."""

    def make(folder: Path) -> None:
        out = folder / "bundle"
        done = cli("export", small_run, "--target", "rpi", "--precision", "fp16", "--out", out)
        assert done.returncode == 0, done.stderr
        (folder / "printed").write_text(done.stdout + done.stderr)

    made = shared_folder(tmp_path_factory, "half", make)
    return made / "bundle", (made / "printed").read_text()


def models(made: Made) -> dict[str, ModelFile]:
    return {model.format: model for model in bundles.read(made[0]).models}


def test_the_files_say_their_precision_and_are_smaller(half: Made, small_bundle: Path) -> None:
    for fmt, share in (("onnx", 0.9), ("tflite", 0.9)):
        path = half[0] / f"funnelnet-fp16.{fmt}"
        assert models(half)[fmt].precision == "fp16"
        assert path.stat().st_size < share * (small_bundle / f"funnelnet-fp32.{fmt}").stat().st_size


def test_parity_is_judged_by_the_policy_of_fp16_and_labels_hold(half: Made) -> None:
    proof = bundles.read(half[0]).parity
    ours = [row for row in proof.stages if row.engine not in ("captured", "rewritten")]
    assert {row.policy for row in ours} == {"fp16"}
    assert {row.verdict for row in ours} == {"pass"}
    assert all(a.agreeing >= a.count - 1 for a in proof.agreements)


def test_what_stays_in_float32_is_shown_and_in_the_manifest(half: Made) -> None:
    plan = models(half)["onnx"].plan
    assert isinstance(plan, Float16Record)
    assert {"filter_bank", "scalogram"} <= set(plan.stages.values())
    assert set(plan.kept) == set(plan.stages)
    epsilon = [f for f in plan.findings if f.case == CONSTANT and not f.harmless]
    assert [(f.stage, round(f.value, 12)) for f in epsilon] == [("scalogram", 1e-10)]
    assert f"{len(plan.kept)} of {plan.operations} operations stay in float32" in half[1]
    assert "underflow in filter_bank at " in half[1]
    assert models(half)["tflite"].plan.operations > 20


def test_that_it_is_not_faster_is_said_wherever_a_user_looks(half: Made) -> None:
    assert models(half)["onnx"].note.startswith("smaller, not faster")
    assert "smaller, not faster" in half[1]
    assert "smaller, not faster" in (half[0] / "MODEL_CARD.md").read_text()


def test_every_key_is_documented(half: Made) -> None:
    documented = (ROOT / "docs" / "manifest.md").read_text()
    model = json.loads((half[0] / "manifest.json").read_text())["models"][0]
    for key in (*model, *model["plan"], *model["plan"]["findings"][0]):
        assert f"`{key}`" in documented or key in ("precision", "format"), key


def test_it_is_verified_without_torch_and_a_change_is_found(half: Made, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(half[0], tmp_path / "copy"))
    command = [sys.executable, "-W", "ignore", "-c", NO_TORCH, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "parity holds" in done.stdout
    (folder / "funnelnet-fp16.onnx").write_bytes(b"")
    assert subprocess.run(command, capture_output=True, check=False).returncode == 5


def test_both_files_can_be_inspected(half: Made) -> None:
    for fmt in ("onnx", "tflite"):
        assert inspect(half[0] / f"funnelnet-fp16.{fmt}")["inputs"][0]["dtype"] == "float32"
