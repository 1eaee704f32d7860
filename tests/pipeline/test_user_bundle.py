"""A bundle of a user's network: several inputs, integers, state, channels last."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from short_timing import short

from tinyml.core import bundle as bundles
from tinyml.core.errors import InputError, UsageError
from tinyml.pipeline.bench import bench
from tinyml.pipeline.compare_latency import stored, stored_wholes
from tinyml.pipeline.inspect import inspect
from tinyml.pipeline.outputs import reference
from tinyml.pipeline.predict import predict
from tinyml.pipeline.verify import verify
from tinyml.runtimes.litert import LITERT
from tinyml.runtimes.ort import ONNXRUNTIME

Made = tuple[Path, str, str]


def silent(_: object) -> None:
    """Nobody listens."""


def test_nothing_that_the_users_code_prints_comes_out(user_bundle: Made) -> None:
    _, printed, said = user_bundle
    assert "noise" not in printed + said
    assert "pytorch: accuracy" in printed


def test_both_files_have_the_users_names_shapes_and_types(user_bundle: Made) -> None:
    bundle = bundles.read(user_bundle[0])
    signature = bundle.signature
    assert [s.name for s in signature.inputs] == ["input", "ids", "h"]
    assert signature.input("input").axes == ("batch", "height", "width", "channels")
    assert [(p.input, p.output) for p in signature.states] == [("h", "next_h")]
    for runtime in (ONNXRUNTIME, LITERT):
        (model,) = (m for m in bundle.models if m.format in runtime.formats)
        in_file = runtime.open(bundle.file(model)).signature
        for kind in ("inputs", "outputs"):
            wanted = [(s.name, s.shape, s.dtype) for s in getattr(signature, kind)]
            assert [(s.name, s.shape, s.dtype) for s in getattr(in_file, kind)] == wanted


def test_every_submodule_that_computes_is_a_stage_each_call_apart(user_bundle: Made) -> None:
    bundle = bundles.read(user_bundle[0])
    assert {"features.0", "features.2", "features", "step.cell", "act", "act#2"} <= set(
        bundle.stages
    )
    assert "features.3" not in bundle.stages  # an identity
    assert bundle.parity.passed
    judged = {(r.engine, r.stage) for r in bundle.parity.stages if r.verdict == "pass"}
    assert {("litert", "act#2"), ("onnxruntime", "act#2")} <= judged
    assert {row.case for row in bundle.parity.stages} >= {"sample", "random", "silence"}


def test_the_files_compute_what_the_module_computes(user_bundle: Made, user_model: Any) -> None:
    """Against the network run here by hand, so that no step of the export is its own witness."""
    import runpy

    import torch

    net = runpy.run_path(str(user_model.folder / "net.py"))["build"]().eval()
    saved = torch.load(user_model.folder / "w.pt", weights_only=True)["state_dict"]
    net.load_state_dict({name.removeprefix("module."): v for name, v in saved.items()})
    given = dict(np.load(user_model.folder / "s.npz"))
    tensors = {name: torch.from_numpy(array) for name, array in given.items()}
    with torch.no_grad():
        want = net(tensors["input"].permute(0, 3, 1, 2).contiguous(), tensors["ids"], tensors["h"])
    for path, runtime in (("build-fp32.onnx", ONNXRUNTIME), ("build-fp32.tflite", LITERT)):
        got = runtime.open(user_bundle[0] / path).run(given)
        for name, value in want.items():
            np.testing.assert_allclose(got[name], value.numpy(), atol=1e-5)


def test_the_metric_of_pytorch_and_of_each_engine_is_in_the_manifest(user_bundle: Made) -> None:
    bundle = bundles.read(user_bundle[0])
    engines = [m.engine for m in bundle.parity.metrics]
    assert engines == ["pytorch", "onnxruntime+fusion", "litert+xnnpack"]
    assert len({m.value for m in bundle.parity.metrics}) == 1
    assert all(
        (m.name, m.samples, m.holds) == ("accuracy", 12, True) for m in bundle.parity.metrics
    )
    assert "accuracy of pytorch on 12 samples" in (user_bundle[0] / "MODEL_CARD.md").read_text()


def test_the_bundle_tells_nothing_of_where_it_was_made(user_bundle: Made, user_model: Any) -> None:
    for path in user_bundle[0].iterdir():
        data = path.read_bytes()
        for word in (str(user_model.folder), "net.py", "my_eval", "/tmp/", "def forward"):
            assert word.encode() not in data, (path.name, word)


def test_every_fact_of_a_users_manifest_is_documented(user_bundle: Made) -> None:
    documented = (Path(__file__).parents[2] / "docs" / "manifest.md").read_text()
    manifest = json.loads((user_bundle[0] / "manifest.json").read_text())
    for key in (*manifest["facts"], *manifest["parity"], *manifest["parity"]["metrics"][0]):
        assert f"`{key}`" in documented, key


@pytest.mark.usefixtures("without_optional_engines")
def test_a_users_bundle_is_verified_inspected_and_timed(user_bundle: Made, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(user_bundle[0], tmp_path / "copy"))
    assert verify(folder, silent).parity.passed
    assert inspect(folder)["inputs"][0]["name"] == "input"
    result = bench(folder, timing=short(1, 3), out=None, report=silent)
    assert {m.runtime for m in result.measurements} == {"litert", "onnxruntime"}


@pytest.mark.parametrize("suffix", ["onnx", "tflite"])
@pytest.mark.usefixtures("quiet_machine", "without_optional_engines")
def test_a_file_alone_is_inspected_and_timed(
    user_bundle: Made, tmp_path: Path, suffix: str
) -> None:
    file = Path(shutil.copy(next(user_bundle[0].glob(f"*.{suffix}")), tmp_path))
    assert inspect(file)["macs"] > 0
    result = bench(file, timing=short(1, 3), out=None, report=silent)
    (measured,) = result.measurements
    assert len(measured.processes[0].samples_ns) == 3
    assert result.path == tmp_path / f"{file.name}.bench.json"


def test_a_bundles_file_is_timed_and_the_bundle_stays_as_it_was(
    user_bundle: Made, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(user_bundle[0], tmp_path / "copy"))
    file = next(folder.glob("*.tflite"))
    result = bench(file, timing=short(1, 3), out=None, report=silent)
    assert result.path == tmp_path / f"copy.{file.name}.bench.json"
    assert set(stored_wholes(stored(file))) == {result.measurements[0].model_sha256}
    inside = folder / "mine.json"
    with pytest.raises(UsageError, match="lies in the bundle"):
        bench(file, timing=short(1, 3), out=inside, report=silent)
    bundles.read(folder).check_files()


def test_a_file_of_another_kind_is_not_timed(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello")
    with pytest.raises(InputError, match="is not a model file"):
        bench(tmp_path / "a.txt", timing=short(1, 1), out=None, report=silent)


def test_predict_says_that_the_model_takes_no_files(user_bundle: Made, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="takes no files: nothing describes"):
        predict(user_bundle[0], [tmp_path / "a.wav"], plot=None, runtime=None)


def run_py(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(folder / "run.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_run_py_answers_an_npz_with_numpy_and_litert_alone(
    user_bundle: Made, user_model: Any, tmp_path: Path
) -> None:
    folder = user_bundle[0]
    want = reference.load(folder / "reference.safetensors").outputs["sample"]
    answer = json.loads(run_py(folder, user_model.folder / "s.npz").stdout)
    np.testing.assert_allclose(answer["outputs"]["logits"], want["logits"], atol=1e-5)
    best = ("cat", "dog", "bird")[int(want["logits"].argmax())]
    assert answer["labels"] == {"logits": best}
    silence = json.loads(run_py(folder).stdout)
    assert np.abs(np.subtract(silence["outputs"]["logits"], want["logits"])).max() > 1e-3
    np.savez(tmp_path / "bad.npz", input=np.zeros((1, 2), np.float32))
    refused = run_py(folder, tmp_path / "bad.npz")
    assert refused.returncode == 3
    assert "input float32[1, 2] is not among" in refused.stderr
