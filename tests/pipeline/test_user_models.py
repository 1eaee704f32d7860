"""A user's own network: several inputs, integers, state, channels last; every door and end."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinyml.core import bundle as bundles
from tinyml.core.errors import ExportError, InputError, UsageError, ValidationError
from tinyml.pipeline.bench import bench
from tinyml.pipeline.compare_latency import stored
from tinyml.pipeline.inspect import inspect
from tinyml.pipeline.outputs import reference
from tinyml.pipeline.predict import predict
from tinyml.pipeline.verify import verify
from tinyml.runtimes.litert import LITERT
from tinyml.runtimes.ort import ONNXRUNTIME

Cli = Callable[..., "subprocess.CompletedProcess[str]"]
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


def test_a_users_bundle_is_verified_inspected_and_timed(user_bundle: Made, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(user_bundle[0], tmp_path / "copy"))
    assert verify(folder, silent).parity.passed
    assert inspect(folder)["inputs"][0]["name"] == "input"
    result = bench(folder, repeats=1, runs=3, threads=1, out=None, report=silent)
    assert {m.runtime for m in result.measurements} == {"litert", "onnxruntime"}


@pytest.mark.parametrize("suffix", ["onnx", "tflite"])
def test_a_file_alone_is_inspected_and_timed(
    user_bundle: Made, tmp_path: Path, suffix: str
) -> None:
    file = Path(shutil.copy(next(user_bundle[0].glob(f"*.{suffix}")), tmp_path))
    assert inspect(file)["macs"] > 0
    result = bench(file, repeats=1, runs=3, threads=1, out=None, report=silent)
    (measured,) = result.measurements
    assert len(measured.processes[0].samples_ns) == 3
    assert result.path == tmp_path / f"{file.name}.bench.json"


def test_a_bundles_file_is_timed_and_the_bundle_stays_as_it_was(
    user_bundle: Made, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(user_bundle[0], tmp_path / "copy"))
    file = next(folder.glob("*.tflite"))
    result = bench(file, repeats=1, runs=3, threads=1, out=None, report=silent)
    assert result.path == tmp_path / f"copy.{file.name}.bench.json"
    assert set(stored(file)) == {result.measurements[0].model_sha256}
    inside = folder / "mine.json"
    with pytest.raises(UsageError, match="lies in the bundle"):
        bench(file, repeats=1, runs=3, threads=1, out=inside, report=silent)
    bundles.read(folder).check_files()


def test_a_file_of_another_kind_is_not_timed(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello")
    with pytest.raises(InputError, match="is not a model file"):
        bench(tmp_path / "a.txt", repeats=1, runs=1, threads=1, out=None, report=silent)


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


def processes_with(word: str) -> list[str]:
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    return [line for line in listed.stdout.splitlines() if word in line and "ps -eo" not in line]


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        ("import sys; sys.exit(0)", 3, ("sys.exit(0)", "bad.py:2")),
        ("import os; os._exit(0)", 3, ("without a result",)),
        ("import os; os.abort()", 1, ("SIGABRT", "bad.py:build")),
        (
            "import subprocess, time; subprocess.Popen(['sleep', '98765']); time.sleep(600)",
            1,
            ("within 8 s", "bad.py:build"),
        ),
        ("raise ValueError('no such\\nluck')", 3, ("bad.py:2: ValueError: no such",)),
    ],
)
def test_a_factory_that_goes_wrong_is_one_error_and_leaves_nothing(
    cli: Cli, user_model: Any, tmp_path: Path, body: str, code: int, words: tuple[str, ...]
) -> None:
    (tmp_path / "bad.py").write_text(f"def build():\n    {body}\n")
    started = time.monotonic()
    sample, out = user_model.folder / "s.npz", tmp_path / "out"
    timeout = 8 if "sleep" in body else 300
    more = ["--sample", sample, "--target", "rpi", "--out", out, "--timeout", timeout]
    done = cli("export", tmp_path / "bad.py:build", *more)
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    (error,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    for word in words:
        assert word in error
    assert [path.name for path in tmp_path.iterdir() if path.name != "__pycache__"] == ["bad.py"]
    assert not processes_with("sleep 98765")
    assert time.monotonic() - started < 300


def test_names_that_do_not_fit_are_listed_with_the_prefix_to_strip(
    cli: Cli, user_model: Any, tmp_path: Path
) -> None:
    done = cli(*user_model.arguments("--out", tmp_path / "out"))
    assert done.returncode == 3
    assert "14 missing (features.0.weight, " in done.stderr
    assert "hint: 14 of 14 names fit with --strip-prefix state_dict.module." in done.stderr


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"model": "nowhere.py:build"}, InputError, "no file at nowhere.py"),
        ({"model": "not a module:build"}, InputError, "neither a Python file nor a module"),
        ({"sample": None}, UsageError, "needs `sample`"),
        ({"metric": "nowhere.py:f"}, InputError, "no file at nowhere.py"),
        ({"metric": "m:f"}, UsageError, "needs `data`"),
        ({"data": Path("d.npz")}, UsageError, "for `metric`"),
        ({"metric_direction": "lower"}, UsageError, "`metric_direction` is for `metric`"),
        ({"metric_tolerance": 0.0}, UsageError, "`metric_tolerance` is for `metric`"),
        ({"model": ".", "metric_tolerance": 0.0}, UsageError, "`metric_tolerance` is for a model"),
        ({"states": ("h",)}, UsageError, "not IN=OUT"),
        ({"labels": Path("nowhere.txt")}, InputError, "nowhere.txt"),
        ({"strip_prefix": "a."}, UsageError, "`weights`"),
        ({"weights": Path("nowhere.pt")}, UsageError, "nowhere.pt"),
        ({"model": "funnelnet", "labels": Path("l.txt")}, UsageError, "PATH.py:FACTORY"),
        ({"target": "rpy"}, UsageError, "did you mean 'rpi'"),
        ({"without_data": True}, UsageError, "`without_data` is for a checkpoint"),
        ({"model": "."}, UsageError, "`sample` is for a factory or a model's name"),
        ({"model": ".", "sample": None, "weights": Path("w")}, UsageError, "`weights` is for a"),
        ({"model": ".", "sample": None, "strip_prefix": "a."}, UsageError, "`strip_prefix` is for"),
        (
            {"model": ".", "sample": None, "data": Path("d"), "without_data": True},
            UsageError,
            "`data` and `without_data` exclude each other",
        ),
        (
            {"model": "funnelnet", "weights": Path("w"), "data": Path("d")},
            UsageError,
            "'funnelnet' with `weights` has no data set",
        ),
        (
            {"model": "funnelnet", "weights": Path("w"), "without_data": True},
            UsageError,
            "`without_data` is for a checkpoint",
        ),
    ],
)
def test_what_cannot_be_asked_is_refused_before_any_work(
    user_model: Any, tmp_path: Path, arguments: dict[str, Any], error: type, words: str
) -> None:
    from tinyml.core.export_job import export_job
    from tinyml.pipeline.export import export

    asked = {
        "model": f"{user_model.folder}/net.py:build",
        "sample": user_model.folder / "s.npz",
        "target": "rpi",
        **arguments,
    }
    with pytest.raises(error) as caught:
        export(export_job(out=tmp_path / "out", **asked), silent)
    assert words in f"{caught.value.message} {caught.value.hint}"
    assert not (tmp_path / "out").exists()


def test_a_python_file_without_a_factory_is_told_how_to_name_one(
    user_model: Any, tmp_path: Path
) -> None:
    from tinyml.core.export_job import export_job
    from tinyml.pipeline.export import export

    job = export_job(str(user_model.folder / "net.py"), "rpi", tmp_path / "out")
    with pytest.raises(UsageError) as caught:
        export(job, silent)
    assert "net.py:FACTORY" in caught.value.hint


@pytest.mark.slow
def test_a_registered_name_takes_a_torch_file_and_a_sample(tmp_path: Path) -> None:
    import torch

    from tinyml.core.export_job import export_job
    from tinyml.models.funnelnet import FunnelNet
    from tinyml.pipeline.export import export

    torch.manual_seed(0)
    state = {f"model.{name}": value for name, value in FunnelNet(3).state_dict().items()}
    torch.save(state, tmp_path / "w.pt")
    np.savez(tmp_path / "s.npz", waveform=np.full((1, 24000), 0.1, np.float32))
    job = export_job(
        "funnelnet",
        "rpi",
        tmp_path / "out",
        formats=("onnx",),
        weights=tmp_path / "w.pt",
        strip_prefix="model.",
        sample=tmp_path / "s.npz",
    )
    assert "sample" in {row.case for row in export(job, silent).parity.stages}


def test_labels_that_no_output_has_are_refused() -> None:
    from tinyml.core.spec import Signature, TensorSpec
    from tinyml.pipeline.model_sources.user_model import _check_labels

    signature = Signature((TensorSpec("x", (1, 4)),), (TensorSpec("y", (1, 3)),))
    _check_labels(("a", "b", "c"), signature)
    with pytest.raises(InputError, match=r"2 labels are given.*\[3\]"):
        _check_labels(("a", "b"), signature)


IGNORED = r"ignore:`isinstance\(treespec, LeafSpec\)`:FutureWarning"


@pytest.mark.filterwarnings(IGNORED)
def test_a_module_in_memory_becomes_a_bundle_and_is_as_it_was(
    tmp_path: Path, assert_parity: Callable[..., Any]
) -> None:
    import torch
    from torch import nn

    import tinyml

    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Sigmoid(), nn.Dropout())
    net[1].running_mean.normal_()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    given = {"features": torch.randn(2, 6)}
    bundle = tinyml.build_bundle(net, given, target="rpi", formats=["onnx"], out=tmp_path / "b")
    assert net.training
    assert net[3].training
    assert "forward" not in vars(net)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert bundle.model == "Sequential"
    assert "accuracy was not measured" in bundle.parity.accuracy_note
    assert "Accuracy was not measured" in (tmp_path / "b" / "MODEL_CARD.md").read_text()
    assert not (tmp_path / "b" / "run.py").exists()
    rows = assert_parity(bundle, net, given)
    assert {row.stage for row in rows} >= {"1", "2", "output"}
    file = tmp_path / "b" / "Sequential-fp32.onnx"
    assert {row.stage for row in assert_parity(file, net, {"a case": given})} == {"output"}
    assert assert_parity(file, net.eval(), given)
    with torch.no_grad():
        answer = net(given["features"])
    assert assert_parity(file, {"output": answer}, given)
    with pytest.raises(AssertionError) as caught:
        assert_parity(file, {"output": answer + 0.01}, given)
    text = str(caught.value)
    assert "onnxruntime+fusion differs from the reference at stage 'output'" in text
    assert re.search(r"case 'inputs': error 0.01\d*, bound \d", text)
    net[0].weight.data[0] += 1
    with pytest.raises(AssertionError, match="onnxruntime differs from the reference at stage '0'"):
        assert_parity(bundle, net, given)


@pytest.mark.filterwarnings(IGNORED)
def test_an_engine_whose_metric_is_not_pytorchs_makes_no_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torch import nn

    import tinyml
    from tinyml.pipeline.model_sources import metric

    # PyTorch's before anything is converted, then again, and the engine's.
    answers = iter([0.75, 0.75, 0.25])
    monkeypatch.setattr(metric, "value", lambda *_: next(answers))
    data = {"x": np.zeros((4, 3), np.float32), "targets": np.zeros(4)}
    with pytest.raises(
        ValidationError, match=r"onnxruntime\+fusion: len is 0.25 on 4 samples, 0.75"
    ):
        tinyml.build_bundle(
            nn.Linear(3, 2),
            {"x": np.zeros((1, 3), np.float32)},
            formats=["onnx"],
            out=tmp_path / "b",
            metric=len,
            data=data,
        )
    assert os.listdir(tmp_path) == []


@pytest.mark.filterwarnings(IGNORED)
def test_a_metric_of_unknown_kind_is_refused_before_anything_is_converted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torch import nn

    import tinyml
    from tinyml.pipeline import export as exporting

    def score(predictions: Any, targets: Any) -> float:
        return float(np.mean((predictions - targets) ** 2))

    def convert(*_: object) -> None:
        raise AssertionError("converted")

    monkeypatch.setattr(exporting, "write_files", convert)
    sample = np.ones((1, 3), np.float32)
    given: dict[str, Any] = {"out": tmp_path / "b", "metric": score}
    given["data"] = {"x": np.ones((4, 3), np.float32), "targets": np.full((4, 2), 0.123)}
    with pytest.raises(InputError, match=r"'score' is .*, which is not a share of 4 samples"):
        tinyml.build_bundle(nn.Linear(3, 2), {"x": sample}, **given)
    with pytest.raises(AssertionError, match="converted"):
        tinyml.build_bundle(nn.Linear(3, 2), {"x": sample}, metric_direction="lower", **given)
    with pytest.raises(UsageError, match="is for `metric`, which is not given"):
        tinyml.build_bundle(nn.Linear(3, 2), {"x": sample}, out="b", metric_direction="lower")


def test_a_module_elsewhere_than_in_memory_is_refused(tmp_path: Path) -> None:
    from torch import nn

    import tinyml

    with pytest.raises(ExportError, match="the module is on meta"):
        tinyml.build_bundle(
            nn.Linear(3, 2, device="meta"), {"x": np.zeros((1, 3), np.float32)}, out=tmp_path / "b"
        )
