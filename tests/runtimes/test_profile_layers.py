"""Times of a profiler find the file's operators, by name or by order, and their submodules."""

from __future__ import annotations

import pytest

from tinyml.modelfile.operator_list import ListedOperator
from tinyml.runtimes.profile_layers import Entry, all_modules, by_name, by_order, is_kernel_of


def listed(name: str, op: str, macs: int = 0, *sources: str, front: str = "") -> ListedOperator:
    return ListedOperator(name, op, (f"{name}:0",), macs, sources, front)


ONNX = (
    listed("t0", "Unsqueeze"),
    listed("conv", "Conv", 50, "t0"),
    listed("relu", "Relu", 0, "conv", front="conv"),
    listed("fc", "Gemm", 30, "relu"),
)
TFLITE = (
    listed("pad", "PAD"),
    listed("conv", "CONV_2D", 50, "pad"),
    listed("square", "MUL", 0, "conv"),
    listed("mean", "AVERAGE_POOL_2D", 0, "square"),
    listed("most", "MAX_POOL_2D", 0, "square"),
    listed("both", "CONCATENATION", 0, "mean", "most"),
    listed("fc", "FULLY_CONNECTED", 30, "both"),
)
MODULES = {"conv": "stem.0", "relu": "stem.1", "fc": "head"}


@pytest.mark.parametrize(
    ("name", "op", "owner"),
    [
        ("conv", "Conv", "conv"),
        ("conv:0_nchwc", "Conv", "conv"),
        ("conv_nchwc", "Conv", "conv"),
        ("fused conv", "FusedConv", "conv"),
        ("relu:0_nchwc", "Conv", "conv"),  # computed with the activation behind it
        ("relu", "Relu", "relu"),
        ("fc_token_12", "QGemm", "fc"),
        ("Gemm_3", "Gemm", "fc"),
        ("Conv_3", "Conv", ""),
        ("ReorderOutput_token_62", "ReorderOutput", ""),
    ],
)
def test_onnxruntime_names_what_it_runs_in_forms_of_its_own(name: str, op: str, owner: str) -> None:
    layers = by_name([Entry(name, op, 5.0)], ONNX, {})
    assert [layer.name for layer in layers if layer.ns] == [owner]


def test_kernels_are_told_by_their_order_and_multiply_accumulates_count_once() -> None:
    entries = [
        Entry("", "Convolution (NHWC, F32) IGEMM", 7.0),
        Entry("", "Square (NC)", 2.0),
        Entry("", "Max Pooling (NHWC, F32)", 1.0),
        Entry("3", "AVERAGE_POOL_2D", 4.0),  # LiteRT runs it behind what XNNPACK takes in front
        Entry("", "Copy (NC, X32)", 1.0),
        Entry("", "Transpose (ND, X32) Transpose", 3.0),
        Entry("", "Fully Connected (NC, F32) GEMM", 5.0),
    ]
    layers = by_order(entries, TFLITE, MODULES)
    found = [(layer.name, layer.ns, layer.macs) for layer in layers]
    assert found == [
        ("conv", 7.0, 50),
        ("square", 2.0, 0),
        ("mean", 4.0, 0),
        ("most", 1.0, 0),
        ("both", 1.0, 0),
        ("fc", 5.0, 30),
        ("", 3.0, 0),
    ]


def test_products_that_no_time_is_of_keep_their_multiply_accumulates() -> None:
    layers = by_order([Entry("", "Softmax (NC, F32)", 1.0)], TFLITE, {})
    assert {layer.name: (layer.ns, layer.macs) for layer in layers} == {
        "conv": (0.0, 50),
        "fc": (0.0, 30),
        "": (1.0, 0),
    }


def test_what_belongs_to_no_submodule_is_part_of_what_it_reads_or_of_what_reads_it_first() -> None:
    assert all_modules(TFLITE, MODULES) == {
        "pad": "stem.0",
        "conv": "stem.0",
        "square": "stem.0",
        "mean": "stem.0",
        "most": "stem.0",
        "both": "stem.0",
        "fc": "head",
    }
    assert set(all_modules(TFLITE, {}).values()) == {""}


@pytest.mark.parametrize(
    ("kernel", "operator", "fits"),
    [
        ("Convolution (NHWC, QC8) DWConv", "DEPTHWISE_CONV_2D", True),
        ("Fully Connected (NC, F32) GEMM", "CONV_2D", True),
        ("Multiply (ND)", "MUL", True),
        ("Subtract (ND)", "SUB", True),
        ("Leaky ReLU (NC)", "LEAKY_RELU", True),
        ("Multiply (ND)", "MAX_POOL_2D", False),
        ("CONV_2D", "CONV_2D", True),
    ],
)
def test_a_kernel_can_be_an_operator(kernel: str, operator: str, fits: bool) -> None:
    assert is_kernel_of(kernel, operator) is fits
