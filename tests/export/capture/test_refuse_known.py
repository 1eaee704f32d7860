"""What is known not to export is named by its nodes; after the advised fix it exports."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import refused_networks
import torch
from refused_networks import AT_CAPTURE, AT_CONVERSION, AT_ONCE, FIXED, SAMPLES, AllFixed, Network
from refused_places import wording
from torch import Tensor, nn

from tinyml.core.errors import ExportError
from tinyml.core.spec import Signature, TensorSpec
from tinyml.export.capture.known_errors import (
    BRANCH,
    COMPLEX,
    CUSTOM,
    KNOWN_ERRORS,
    LOOP,
    NUMBER,
    ONLY_ONNX,
    ORDER,
    RANDOM,
    RANDOM_WINDOWS,
    RESIZE,
    SIZE,
    WRITE,
    KnownError,
    find_cause,
)
from tinyml.export.capture.program import Captured, capture
from tinyml.export.formats.tflite import write as writer
from tinyml.pipeline.build import build_bundle

pytestmark = pytest.mark.filterwarnings(r"ignore:`isinstance\(treespec, LeafSpec\)`:FutureWarning")

ROW = f"float32[1, {SAMPLES}]"
# (the start of the user's line, call, entry) by the class of ``body.1.1``
AT_ONCE_OF = {
    "Scale": ("return x / (x.abs().max().item()", "aten.item(float32[])", NUMBER),
    "Loud": ("return x - x[x > 1]", f"aten.index({ROW}, [bool[1, {SAMPLES}]])", SIZE),
    "Choice": ("return torch.cond(", f"torch.cond(bool[], [{ROW}])", BRANCH),
    "Decay": ("return while_loop(", f"torch.while_loop([int64[], {ROW}])", LOOP),
    "Middle": ("return x - x.nanmedian(", f"aten.nanmedian({ROW}, dim=1, keepdim=True)", ORDER),
    "Marks": ("return x.put(", f"aten.put({ROW}, int64[2], float32[2])", WRITE),
    "Unpool": (
        "return functional.max_unpool1d(",
        "aten.max_unpool2d(float32[1, 1, 32, 1], int64[1, 1, 32, 1], output_size=[64, 1])",
        ONLY_ONNX,
    ),
    "Fractional": (
        "pooled = functional.fractional_max_pool2d(",
        "aten.fractional_max_pool2d(float32[1, 1, 8, 8], kernel_size=[2, 2], output_size=[4, 4], ",
        RANDOM_WINDOWS,
    ),
    "Noise": ("return x + torch.randn_like(x)", f"aten.randn_like({ROW}", RANDOM),
}
AT_CONVERSION_OF = {
    "Phase": (f"aten.mul({ROW}, complex64[{SAMPLES}]) computes with complex64", COMPLEX),
    "Spectrum": (f"aten.fft_fft({ROW}) computes with complex64", COMPLEX),
}


def captured(part: type[nn.Module]) -> Captured:
    signature = Signature((TensorSpec("x", (1, SAMPLES)),), (TensorSpec("y", (1, 3)),))
    return capture(Network(part).eval(), signature)


@pytest.mark.parametrize("name", AT_ONCE_OF)
def test_it_is_named_with_its_line_and_fix_before_anything_is_converted(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "to_tflite", lambda *_: pytest.fail("it was converted"))
    with pytest.raises(ExportError) as caught:
        writer.write(captured(getattr(refused_networks, name)), tmp_path / "y.tflite")
    line, call, known = AT_ONCE_OF[name]
    place = wording(f"LiteRT cannot convert 'body.1.1' ({name}, {{line:{line}}}): ")
    assert caught.value.message.startswith(place + call)
    assert caught.value.hint == known.fix
    assert caught.value.located


@pytest.mark.parametrize("name", AT_CONVERSION_OF)
def test_what_a_converter_refuses_is_known_by_its_nodes(name: str) -> None:
    found, fixed = (captured(part) for part in _pair(name))
    reason, known = AT_CONVERSION_OF[name]
    cause = find_cause(found.program.graph.nodes, KNOWN_ERRORS)
    assert cause is not None
    assert (cause.reason, cause.fix) == (reason, known.fix)
    assert find_cause(fixed.program.graph.nodes, KNOWN_ERRORS) is None


def _pair(name: str) -> tuple[type[nn.Module], type[nn.Module]]:
    kind = getattr(refused_networks, name)
    return kind, FIXED[kind]


def test_every_entry_has_a_network_and_every_network_a_fix() -> None:
    tried: set[KnownError] = {known for *_, known in AT_ONCE_OF.values()}
    tried |= {known for *_, known in AT_CONVERSION_OF.values()}
    assert tried | {CUSTOM, RESIZE} == set(KNOWN_ERRORS)  # those two: test_bisect.py
    assert set(FIXED) == {*AT_CAPTURE, *AT_ONCE, *AT_CONVERSION}
    assert {kind.__name__ for kind in AT_ONCE} == set(AT_ONCE_OF)


STATEFUL = Signature(
    (TensorSpec("x", (1, SAMPLES)), TensorSpec("noise", (1, SAMPLES)), TensorSpec("calls", (1,))),
    (TensorSpec("y", (1, SAMPLES * (len(FIXED) - 2))), TensorSpec("next_calls", (1,))),
)


def test_after_the_fix_nothing_is_known_against_it() -> None:
    module, rewritten = writer._for_litert(capture(AllFixed().eval(), STATEFUL))
    assert rewritten["scatter_by_comparison"] == rewritten["select_by_topk"] == 1
    assert find_cause(module.graph.nodes, KNOWN_ERRORS) is None


@pytest.mark.slow
def test_after_the_fix_it_exports_to_both_formats(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(1, SAMPLES)).astype(np.float32)
    bundle = build_bundle(
        AllFixed().eval(),
        {"x": x, "noise": 0 * x, "calls": np.zeros(1, np.float32)},
        out=tmp_path / "fixed",
        states={"calls": "next_calls"},
    )
    assert bundle.parity.passed


class Unused(nn.Module):
    """Like a variational encoder that returns the mean alone."""

    def forward(self, x: Tensor) -> Tensor:
        _ = x + torch.randn_like(x)
        return 2 * x


def test_what_no_output_is_computed_from_is_no_reason() -> None:
    writer._for_litert(captured(Unused))


class Mean(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.scatter_reduce(1, x.argmax(1, keepdim=True), x, "mean")


def test_a_scatter_that_no_rewrite_takes_is_named_too(tmp_path: Path) -> None:
    call = r"aten\.scatter_reduce\(.*reduce=mean.*\) is not supported"
    with pytest.raises(ExportError, match=call) as caught:
        writer.write(captured(Mean), tmp_path / "y.tflite")
    assert caught.value.hint == WRITE.fix
