"""Rewrites of what converters cannot say: fires, refuses, twice is once, numbers hold."""

from __future__ import annotations

import operator
from collections.abc import Callable

import numpy as np
import pytest
import torch
from small_networks import noise
from torch import Tensor, nn

from tinyml.core.spec import Signature, TensorSpec
from tinyml.export.capture.program import Captured, capture
from tinyml.export.capture.stage_values import captured_values, eager_values
from tinyml.export.outcome import Outcome
from tinyml.export.parity import compare
from tinyml.export.rewrites.average_by_matrix import average_by_matrix
from tinyml.export.rewrites.crop_conv_transpose import crop_conv_transpose
from tinyml.export.rewrites.maximum_by_windows import maximum_by_windows
from tinyml.export.rewrites.stft_to_conv import stft_to_conv
from tinyml.export.rewrites.zero_masked_rows import zero_masked_rows

Pass = Callable[..., Outcome]


class Of(nn.Module):
    """A function, or a module, of one input."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.inner = function

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"y": self.inner(x)}


def taken(
    function: Callable[[Tensor], Tensor], shape: tuple[int, ...], stages: tuple[str, ...] = ()
) -> tuple[nn.Module, Captured]:
    """A seeded module and its capture."""
    torch.manual_seed(0)
    if hasattr(function, "reset_parameters"):
        function.reset_parameters()
    module = Of(function).eval()
    out = tuple(module(torch.zeros(shape))["y"].shape)
    signature = Signature((TensorSpec("x", shape),), (TensorSpec("y", out),))
    return module, capture(module, signature, stages)


def apply(rewrite: Pass, captured: Captured) -> tuple[Captured, int]:
    """``captured`` after one pass, and its count."""
    stages = dict(captured.stages)
    count = rewrite(captured.program, stages).count
    captured.program.graph.lint()
    captured.program.validate()  # type: ignore[no-untyped-call]
    return Captured(captured.program, stages, captured.signature), count


def targets(captured: Captured) -> list[str]:
    nodes = captured.program.graph.nodes
    called = [node.target for node in nodes if node.op == "call_function"]
    return [str(target).split(".")[1] for target in called if target is not operator.getitem]


def assert_fires(
    rewrite: Pass, function: Callable[[Tensor], Tensor], shape: tuple[int, ...]
) -> Captured:
    """It fires once and not again; shapes that it notes are true, and the numbers hold."""
    module, captured = taken(function, shape)
    written, count = apply(rewrite, captured)
    assert count == 1
    assert_same_numbers(module, written)
    assert apply(rewrite, written)[1] == 0
    return written


def assert_refuses(
    rewrite: Pass, function: Callable[[Tensor], Tensor], shape: tuple[int, ...]
) -> None:
    module, captured = taken(function, shape)
    before = targets(captured)
    outcome = rewrite(captured.program, dict(captured.stages))
    assert (outcome.count, targets(captured)) == (0, before)
    assert all(outcome.refused.values())
    assert outcome.refused
    assert_same_numbers(module, captured)


def assert_same_numbers(module: nn.Module, captured: Captured) -> None:
    x = {"x": noise(*captured.signature.inputs[0].shape, seed=7)}
    _, want = eager_values(module, x, captured.signature, ())
    _, got = captured_values(captured, x)
    assert captured.shapes[captured.outputs["y"]] == want["y"].shape
    [row] = compare("captured", "noise", want, got, ["y"], policy="rewrite")
    assert row.verdict == "pass", row


CROPPED = {
    "the usual autoencoder": nn.ConvTranspose2d(4, 3, 3, 2, 1, output_padding=1),
    "padded only": nn.ConvTranspose2d(4, 3, 3, 2, 1),
    "added only": nn.ConvTranspose2d(4, 3, 3, 2, 0, output_padding=1),
    "more added than cut": nn.ConvTranspose2d(4, 3, (3, 5), 3, (1, 0), output_padding=2),
    "more added, no bias": nn.ConvTranspose2d(4, 3, 3, 3, 1, output_padding=2, bias=False),
    "one axis each way": nn.ConvTranspose2d(4, 3, 3, (2, 1), (1, 0), output_padding=(1, 0)),
    "groups": nn.ConvTranspose2d(4, 6, 3, 2, 1, output_padding=1, groups=2),
    "dilated": nn.ConvTranspose2d(4, 3, 3, 1, 0, dilation=(2, 3)),
    "dilated and padded": nn.ConvTranspose2d(4, 3, 3, 2, 2, output_padding=1, dilation=2),
}


@pytest.mark.parametrize("kind", CROPPED)
def test_crop_conv_transpose_fires_once_and_the_numbers_hold(kind: str) -> None:
    assert_fires(crop_conv_transpose, CROPPED[kind], (2, 4, 5, 6))


@pytest.mark.parametrize("added", [0, 1, 3])
def test_crop_conv_transpose_fires_in_one_dimension(added: int) -> None:
    convolution = nn.ConvTranspose1d(2, 3, 7, 4, 2, output_padding=added)
    assert_fires(crop_conv_transpose, convolution, (1, 2, 9))


class ComputedKernel(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.conv_transpose2d(x, x.mean() * torch.ones(4, 2, 3, 3), dilation=2)


@pytest.mark.parametrize(
    "function",
    [
        nn.ConvTranspose2d(4, 3, 2, 2),
        nn.ConvTranspose2d(4, 3, 3, 2),
        nn.ConvTranspose2d(4, 3, 4, 2, 1),
        ComputedKernel(),
    ],
    ids=["nothing cut", "longer kernel", "stride times the input", "computed"],
)
def test_crop_conv_transpose_refuses(function: nn.Module) -> None:
    assert_refuses(crop_conv_transpose, function, (1, 4, 5, 6))


def test_crop_conv_transpose_says_nothing_of_other_convolutions() -> None:
    _, captured = taken(nn.Conv2d(4, 3, 3, padding=1), (1, 4, 5, 6))
    before = targets(captured)
    assert crop_conv_transpose(captured.program, dict(captured.stages)) == Outcome(0)
    assert targets(captured) == before


def test_a_stage_that_was_a_transposed_convolution_is_its_slice() -> None:
    module, captured = taken(
        nn.ConvTranspose2d(4, 3, 3, 2, 1, output_padding=1), (1, 4, 5, 6), ("inner",)
    )
    written, _ = apply(crop_conv_transpose, captured)
    x = {"x": noise(1, 4, 5, 6)}
    want, _ = eager_values(module, x, written.signature, ("inner",))
    [row] = compare("rewritten", "noise", want, captured_values(written, x)[0], ("inner",))
    assert row.verdict == "pass"


AVERAGED = {
    "both axes": (nn.AdaptiveAvgPool2d((7, 5)), (2, 3, 32, 24)),
    "one axis divides": (nn.AdaptiveAvgPool2d((4, 5)), (1, 3, 8, 12)),
    "one axis stays": (nn.AdaptiveAvgPool2d((None, 5)), (1, 3, 8, 12)),
    "more than there are": (nn.AdaptiveAvgPool2d(9), (1, 3, 6, 6)),
    "without a batch": (nn.AdaptiveAvgPool2d(3), (2, 7, 8)),
    "one dimension": (nn.AdaptiveAvgPool1d(7), (2, 3, 32)),
}


@pytest.mark.parametrize("kind", AVERAGED)
def test_average_by_matrix_fires_once_and_the_numbers_hold(kind: str) -> None:
    written = assert_fires(average_by_matrix, *AVERAGED[kind])
    assert set(targets(written)) == {"matmul"}


@pytest.mark.parametrize("size", [1, 4, (8, 6), (2, 12)])
def test_average_by_matrix_refuses_sizes_that_divide(size: int | tuple[int, int]) -> None:
    assert_refuses(average_by_matrix, nn.AdaptiveAvgPool2d(size), (1, 2, 8, 12))


MAXIMA = {
    "the whole axis": (nn.AdaptiveMaxPool1d(1), (2, 3, 20), {"amax"}),
    "the whole image": (nn.AdaptiveMaxPool2d(1), (2, 3, 6, 5), {"amax"}),
    "dividing": (nn.AdaptiveMaxPool2d((3, 2)), (2, 3, 6, 8), {"max_pool2d"}),
    "dividing, one dimension": (nn.AdaptiveMaxPool1d(5), (2, 3, 20), {"max_pool1d"}),
    "not dividing": (nn.AdaptiveMaxPool2d((3, 4)), (2, 3, 7, 5), {"index_select", "view", "amax"}),
    "one axis stays": (
        nn.AdaptiveMaxPool2d((7, 4)),
        (1, 3, 7, 5),
        {"index_select", "view", "amax"},
    ),
    "one dimension": (nn.AdaptiveMaxPool1d(7), (2, 3, 20), {"index_select", "view", "amax"}),
}


@pytest.mark.parametrize("kind", MAXIMA)
def test_maximum_by_windows_fires_once_and_the_numbers_hold(kind: str) -> None:
    function, shape, wanted = MAXIMA[kind]
    assert set(targets(assert_fires(maximum_by_windows, function, shape))) == wanted


def test_maximum_by_windows_refuses_when_the_places_are_used() -> None:
    def function(x: Tensor) -> Tensor:
        values, places = nn.functional.adaptive_max_pool1d(x, 3, return_indices=True)
        return values + places

    assert_refuses(maximum_by_windows, function, (1, 2, 10))


def spectrum(x: Tensor, **options: object) -> Tensor:
    given: dict[str, object] = {"window": torch.hann_window(16), "center": False} | options
    transform: Tensor = torch.stft(x, 16, return_complex=True, **given)
    return transform


TAKEN: dict[str, tuple[Callable[[Tensor], Tensor], tuple[int, ...]]] = {
    "magnitude": (lambda x: spectrum(x).abs(), (2, 64)),
    "magnitude of one signal": (lambda x: spectrum(x).abs(), (64,)),
    "real part": (lambda x: spectrum(x, hop_length=5).real, (1, 64)),
    "imaginary part, scaled": (lambda x: spectrum(x).imag * 2.0, (1, 64)),
    "real pairs": (lambda x: torch.view_as_real(spectrum(x)), (2, 64)),
    "two of them": (lambda x: spectrum(x).abs() + spectrum(x).real.abs(), (2, 64)),
    "normalised": (lambda x: spectrum(x, normalized=True).abs(), (1, 64)),
    "both sides": (lambda x: spectrum(x, onesided=False).abs(), (1, 64)),
    "centred": (lambda x: spectrum(x, center=True).abs(), (1, 64)),
    "shorter window": (
        lambda x: spectrum(x, window=torch.hamming_window(9), win_length=9).abs(),
        (1, 64),
    ),
    "no window": (lambda x: torch.stft(x, 16, 4, center=False, return_complex=True).abs(), (1, 64)),
}


@pytest.mark.parametrize("kind", TAKEN)
# PyTorch itself warns where the window is left out.
@pytest.mark.filterwarnings("ignore:A window was not provided:UserWarning")
def test_stft_to_conv_fires_and_the_numbers_hold(kind: str) -> None:
    function, shape = TAKEN[kind]
    module, captured = taken(function, shape)
    transforms = targets(captured).count("stft")
    written, count = apply(stft_to_conv, captured)
    assert count == transforms >= 1
    assert "stft" not in targets(written)
    assert_same_numbers(module, written)
    assert apply(stft_to_conv, written)[1] == 0


REFUSED: dict[str, Callable[[Tensor], Tensor]] = {
    "phase": lambda x: spectrum(x).angle(),
    "complex product": lambda x: (spectrum(x) * spectrum(x)).abs(),
    "computed window": lambda x: spectrum(x, window=torch.hann_window(16) * x.mean()).abs(),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_stft_to_conv_refuses(kind: str) -> None:
    assert_refuses(stft_to_conv, REFUSED[kind], (1, 64))


def test_silence_has_no_magnitude() -> None:
    written, _ = apply(stft_to_conv, taken(lambda x: spectrum(x).abs(), (1, 64))[1])
    _, got = captured_values(written, {"x": np.zeros((1, 64), np.float32)})
    assert not got["y"].any()


def attention(x: Tensor, mask: Tensor | None, **options: float) -> Tensor:
    attend = nn.functional.scaled_dot_product_attention
    answer: Tensor = attend(x, x * 0.5, x + 1.0, attn_mask=mask, **options)
    return answer


@pytest.mark.parametrize("options", [{}, {"scale": 0.3}])
def test_zero_masked_rows_fires_once_and_the_numbers_hold(options: dict[str, float]) -> None:
    def function(x: Tensor) -> Tensor:
        return attention(x, x[:, :, :1, :].transpose(-1, -2)[..., :1, :] > x[..., :6], **options)

    written = assert_fires(zero_masked_rows, function, (1, 2, 6, 8))
    assert "scaled_dot_product_attention" in targets(written)


def test_a_query_without_a_place_answers_zero() -> None:
    module, captured = taken(lambda x: attention(x, x[..., :6] > 1e9), (1, 2, 6, 8))
    written, count = apply(zero_masked_rows, captured)
    assert count == 1
    assert_same_numbers(module, written)
    _, got = captured_values(written, {"x": noise(1, 2, 6, 8)})
    assert not got["y"].any()


@pytest.mark.parametrize("kind", ["none", "numbers", "causal"])
def test_zero_masked_rows_refuses(kind: str) -> None:
    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            causal = torch.ones(6, 6, dtype=torch.bool).tril()
            masks = {"none": None, "numbers": torch.zeros(6, 6), "causal": causal}
            self.register_buffer("mask", masks[kind])

        def forward(self, x: Tensor) -> Tensor:
            return attention(x, self.mask)

    assert_refuses(zero_masked_rows, Masked(), (1, 2, 6, 8))
