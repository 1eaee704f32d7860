"""Pairs of targets that decide differently about the same model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

import tinyml
from tinyml.core.errors import ExportError, UsageError
from tinyml.core.export_settings import ExportSettings
from tinyml.core.target import System, Target, find_target
from tinyml.export.quantization.precision import find_precision
from tinyml.pipeline import export
from tinyml.pipeline.formats.of_target import check_formats, complete_for
from tinyml.pipeline.model_sources.workspace import CaptureRecord, Peak, Workspace
from tinyml.pipeline.steps.check_memory import check_memory

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
