from __future__ import annotations

from typing import Any

import pytest

from tinyml.core.board_facts import BoardFacts
from tinyml.core.bundle import ModelFile
from tinyml.core.target import find_target
from tinyml.pipeline.devices.fits import missing_for, why_not

PI = find_target("rpi4")


def model(minimum: str = "tflite-runtime>=2.3", format_: str = "tflite") -> ModelFile:
    return ModelFile(f"net.{format_}", "0" * 64, format_, "fp32", {}, {}, {}, minimum)


def facts(
    numpy: str | None = "2.1.0", bits: int = 64, libc: str = "glibc 2.36", **packages: Any
) -> BoardFacts:
    named = {name.replace("_", "-"): version for name, version in packages.items()}
    named |= {"numpy": numpy} if numpy else {}
    return BoardFacts(
        board="b",
        system="s",
        kernel="k",
        arch="a",
        bits=bits,
        libc=libc,
        python="3.11.2",
        packages=named,
    )


@pytest.mark.parametrize(
    ("minimum", "packages"),
    [
        ("tflite-runtime>=2.3", {"tflite_runtime": "2.14.0"}),
        ("tflite-runtime>=2.3", {"ai_edge_litert": "1.0.1"}),
        ("ai-edge-litert>=2.1", {"ai_edge_litert": "2.1.0rc1"}),
        ("ai-edge-litert>=2.1", {"ai_edge_litert": "3"}),
    ],
)
def test_a_board_that_has_it_can_run_it(minimum: str, packages: dict[str, str]) -> None:
    assert why_not(model(minimum), facts(**packages), PI) == ""


def test_what_is_too_old_is_named_with_what_is_there() -> None:
    assert why_not(model("ai-edge-litert>=2.1"), facts(ai_edge_litert="2.0.3"), PI) == (
        "net.tflite needs ai-edge-litert>=2.1, and litert 2.0.3 is installed there"
    )
    assert why_not(model(), facts(tflite_runtime="2.2"), PI) == (
        "net.tflite needs tflite-runtime>=2.3, and tflite-runtime 2.2 is installed there"
    )
    needs = model("onnxruntime>=1.17", "onnx")
    assert "onnxruntime 1.16.3 is installed" in why_not(needs, facts(onnxruntime="1.16.3"), PI)


def test_what_is_missing_is_named_and_why_it_may_not_be_had() -> None:
    assert why_not(model(), facts(onnxruntime="1.20.0"), PI) == (
        "net.tflite: litert is not installed there"
    )
    assert missing_for("litert", facts(None), PI) == "litert and numpy are not installed there"
    assert (
        missing_for("litert", facts(None, ai_edge_litert="2.1.0"), PI)
        == "numpy is not installed there"
    )
    assert missing_for("litert", facts(bits=32), PI).endswith(
        "there: its programs are 32-bit, and runtimes have only 64-bit wheels"
    )
    assert missing_for("onnxruntime", facts(libc="musl"), PI).endswith("and wheels need glibc")
