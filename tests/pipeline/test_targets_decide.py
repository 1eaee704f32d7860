"""Pairs of targets that decide differently about the same model."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from onnx import parser
from torch import nn

import tinyml
from tinyml.cli.timing import timing
from tinyml.core.bundle import ModelFile
from tinyml.core.device import Device
from tinyml.core.errors import ExportError, UsageError, ValidationError
from tinyml.core.export_settings import ExportSettings
from tinyml.core.target import System, Target, find_target
from tinyml.device.measure import Job
from tinyml.export.formats.tflite.minimum_runtime import minimum_runtime
from tinyml.export.quantization.precision import find_precision
from tinyml.modelfile.tflite_file import import_schema, pack
from tinyml.pipeline import export
from tinyml.pipeline.formats.of_target import check_formats, complete_for
from tinyml.pipeline.model_sources.workspace import CaptureRecord, Peak, Workspace
from tinyml.pipeline.steps.check_memory import check_memory
from tinyml.pipeline.steps.check_runtimes import check_runtimes

pytestmark = pytest.mark.filterwarnings(r"ignore:`isinstance\(treespec, LeafSpec\)`:FutureWarning")
SYSTEMS = {"old": System({"tflite-runtime": "2.5.0"}, "3.9"), "any": System({"litert": "2.1.0"})}
MIB = 1 << 20


def board(**facts: Any) -> Target:
    return replace(find_target("rpi-zero2w"), name="board", board="Board", **facts)


def plan(target: Target, precision: str = "fp32", formats: tuple[str, ...] = ("onnx",)) -> Any:
    source, traits = SimpleNamespace(name="net"), find_precision(precision)
    return SimpleNamespace(
        target=target, source=source, precision=precision, traits=traits, formats=formats
    )


@pytest.mark.parametrize(
    ("precision", "formats", "needed_mib"),
    [
        ("fp32", ("onnx", "tflite"), 8),
        ("fp16", ("tflite",), 8),  # float16 is stored there, and float32 computed
        ("fp16", ("onnx", "tflite"), 4),
        ("w8", ("tflite",), 8),
        ("w8a16", ("onnx",), 4),
        ("w8a8-static", ("tflite",), 2),
    ],
)
def test_the_smaller_memory_refuses(
    tmp_path: Path, precision: str, formats: tuple[str, ...], needed_mib: int
) -> None:
    work = Workspace(tmp_path)
    work.save_capture_record(CaptureRecord({}, (), Peak(8 * MIB, "body.0")))
    check_memory(plan(board(memory_mb=needed_mib), precision, formats), work)
    check_memory(plan(board(memory_mb=0), precision, formats), work)  # it is not known
    with pytest.raises(ExportError, match=f"in {precision} need at least .* at body.0: board"):
        check_memory(plan(board(memory_mb=needed_mib - 1), precision, formats), work)


def test_it_is_refused_before_anything_is_converted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "write_files", None)
    (tmp_path / "small.toml").write_text(
        'board = "Small board"\narch = "aarch64"\ncpu = "c"\nmemory_mb = 1\n'
        '[systems.s]\nruntimes = { onnxruntime = "1.19.2" }\n'
    )
    net = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU())
    with pytest.raises(ExportError) as caught:
        tinyml.build_bundle(
            net,
            {"x": torch.zeros(1, 1, 256, 256)},
            str(tmp_path / "small.toml"),
            out=tmp_path / "b",
            name="net",
        )
    assert caught.value.message == (
        "activations of net in fp32 need at least 1,311 KB at once, at 0: "
        "small (Small board) has 1 MiB"
    )
    assert caught.value.hint.startswith("shorten the input or window")
    assert not (tmp_path / "b").exists()


def test_a_format_runs_where_a_system_has_its_runtime() -> None:
    traits = find_precision("fp32")
    check_formats(("onnx", "tflite"), find_target("rpi5"), traits)
    check_formats(("tflite",), board(systems={"old": SYSTEMS["old"]}), traits)
    with pytest.raises(UsageError, match="no runtime on board reads onnx: it has litert"):
        check_formats(("onnx",), board(systems={"any": SYSTEMS["any"]}), traits)


def test_a_format_that_needs_a_newer_runtime_is_refused_before_any_work() -> None:
    old = board(systems={"old": System({"onnxruntime": "1.16.3"}, "3.9")})
    check_formats(("onnx",), old, find_precision("w8a8-static"))
    check_formats(("onnx",), find_target("rpi4"), find_precision("w8a16"))
    with pytest.raises(UsageError) as caught:
        check_formats(("onnx",), old, find_precision("w8a16"))
    assert caught.value.message == (
        "onnx in w8a16 needs onnxruntime>=1.17: board has onnxruntime 1.16.3 (old)"
    )
    older = board(systems={"old": System({"onnxruntime": "1.13.1"}, "3.9")})
    with pytest.raises(UsageError, match=r"onnx in fp32 needs onnxruntime>=1\.14"):
        check_formats(("onnx",), older, find_precision("fp32"))


def test_an_operator_that_is_newer_than_the_runtime_is_named(tmp_path: Path) -> None:
    schema = import_schema()
    model = schema.ModelT()
    pairs = [("ADD", 1), ("GELU", 2), ("CONV_2D", 3)]
    for name, version in pairs:
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, name)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        code.version = version
        model.operatorCodes = [*(model.operatorCodes or []), code]
    model.subgraphs, model.buffers = [], []
    (tmp_path / "m.tflite").write_bytes(pack(model))
    file = ModelFile("m.tflite", "", "tflite", "fp32", {}, {}, {}, minimum_runtime(pairs))
    with pytest.raises(ValidationError) as caught:
        check_runtimes(tmp_path, [file], board(systems={"old": SYSTEMS["old"]}))
    assert caught.value.message == (
        "m.tflite needs tflite-runtime>=2.9 for GELU version 2: "
        "board has tflite-runtime 2.5.0 (old)"
    )
    both = check_runtimes(tmp_path, [file], board(systems=SYSTEMS))
    assert both == [
        "m.tflite needs tflite-runtime>=2.9: some systems of board have tflite-runtime 2.5.0 (old)"
    ]
    assert check_runtimes(tmp_path, [file], find_target("rpi4")) == []
    newer = replace(file, minimum_runtime=minimum_runtime([("COS", 2)]))
    assert check_runtimes(tmp_path, [newer], find_target("rpi5")) == []
    assert check_runtimes(tmp_path, [newer], find_target("rpi4")) == [
        "m.tflite needs ai-edge-litert>=2.1.6: some systems of rpi4 have litert 2.1.0 (bullseye)"
    ]


def test_an_onnx_file_is_refused_for_its_operator_set(tmp_path: Path) -> None:
    text = '<ir_version: 10, opset_import: ["": 21]> g (float[4] x) => (float[4] y) {y = Relu(x)}'
    (tmp_path / "m.onnx").write_bytes(parser.parse_model(text).SerializeToString())
    file = ModelFile("m.onnx", "", "onnx", "w8a16", {}, {}, {}, "onnxruntime>=1.17")
    old = board(systems={"old": System({"onnxruntime": "1.16.3"})})
    with pytest.raises(ValidationError, match=r"needs onnxruntime>=1\.17 for opset 21: board has"):
        check_runtimes(tmp_path, [file], old)
    with pytest.raises(ValidationError, match=r"board has no onnxruntime \(any\)"):
        check_runtimes(tmp_path, [file], board(systems={"any": SYSTEMS["any"]}))


@pytest.mark.parametrize(
    ("target", "formats"),
    [("rpi4", ("onnx", "tflite")), ("rpi-zero2w", ("tflite",)), ("android", ("tflite",))],
)
def test_a_target_chooses_the_formats_that_are_not_named(
    target: str, formats: tuple[str, ...]
) -> None:
    found = find_target(target)
    assert complete_for(ExportSettings(), found).formats == formats
    assert complete_for(ExportSettings(formats=("onnx",)), found).formats == ("onnx",)


def test_another_engine_for_the_format_is_enough(tmp_path: Path) -> None:
    box = board(systems={"box": System({"openvino": "2026.4.1"})})
    check_formats(("onnx",), box, find_precision("w8a16"))
    with pytest.raises(UsageError, match="no runtime on board reads tflite: it has openvino"):
        check_formats(("tflite",), box, find_precision("fp32"))


@pytest.mark.parametrize(
    ("target", "threads", "numbers"),
    [("host", None, (1,)), ("rpi5", None, (4,)), ("rpi5", "1,2", (1, 2))],
)
def test_a_target_sets_the_threads_that_are_not_given(
    target: str, threads: str | None, numbers: tuple[int, ...]
) -> None:
    options: dict[str, Any] = {"quick": False, "cpu": None, "delegate": "xnnpack"}
    options |= {"period": None, "between": None}
    device = Device(name="own", link="local", target=target)
    found = timing(5, 100, 0.5, threads=threads, device=device, **options)
    jobs = found.jobs([Job(Path("m.onnx"), "onnxruntime", {})])
    assert tuple(job.threads for job in jobs) == numbers


def test_a_benchmark_is_taken_on_a_target(cli: Any, tmp_path: Path) -> None:
    text = '<ir_version: 8, opset_import: ["": 18]> g (float[4] x) => (float[4] y) {y = Relu(x)}'
    model = tmp_path / "m.onnx"
    model.write_bytes(parser.parse_model(text).SerializeToString())
    (tmp_path / "mine.toml").write_text(
        'board = "Mine"\narch = "host"\ncpu = "host"\nmemory_mb = 0\nthreads = 2\nlink = "local"\n'
        '[systems.s]\nruntimes = { onnxruntime = "1.19.2" }\n'
    )
    quick = ("--quick", "--repeats", 1, "--json")
    done = cli("bench", model, *quick, "--target", tmp_path / "mine.toml")
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)["measurements"]
    assert (found["conditions"]["threads"], found["conditions"]["device"]) == (2, "Mine")
    refused = cli("bench", model, *quick, "--target", "rpi5")
    assert refused.returncode == 2
    assert "Raspberry Pi 5 is not this machine" in refused.stderr
