"""What has no integer kernel stays in float32, and with it what spans too many decades."""

from __future__ import annotations

import json

import pytest

from tinyml.export.quantization.integer_kernels import (
    CEIL_MODE,
    DYNAMIC,
    FEEDS_LOG,
    INT8,
    INT16,
    NO_KERNEL,
    OF_EXP,
    OF_POWER,
    excluded,
    kernels_of,
)
from tinyml.export.quantization.keep_float import (
    check_quantized_io,
    exact_stages,
    kept_operators,
)
from tinyml.export.quantization.plan import plan_tensors
from tinyml.export.quantization.precision import find_precision
from tinyml.export.quantization.precisions.w8a8_static import W8A8_STATIC
from tinyml.export.quantization.ranges import Range
from tinyml.modelfile.graph import Graph, Operator


def graph(*rows: tuple[str, str, str]) -> Graph:
    """(output, operator, inputs by spaces) each; the last output is given out, x is taken."""
    made = [Operator(out, op, tuple(read.split()), (out,)) for out, op, read in rows]
    return Graph(tuple(made), (rows[-1][0],), ("x",))


def kept(found: Graph, precision: str = "w8a8-static") -> dict[str, str]:
    return kept_operators(found, {}, {}, None, {}, precision=find_precision(precision))


SOFTPLUS = graph(
    ("conv", "CONV_2D", "x"),
    ("scaled", "MUL", "conv"),
    ("exp", "EXP", "scaled"),
    ("one", "ADD", "exp"),
    ("log", "LOG", "one"),
    ("back", "MUL", "log"),
    ("large", "GREATER", "scaled"),
    ("chosen", "SELECT_V2", "large conv back"),
    ("head", "CONV_2D", "chosen"),
)


def test_a_softplus_stays_from_its_exponential_to_its_logarithm_and_no_further() -> None:
    assert kept(SOFTPLUS) == {
        **dict.fromkeys(("exp", "log", "large"), NO_KERNEL),
        "one": FEEDS_LOG,
    }


def test_a_log_softmax_keeps_its_sum_and_what_chooses_after_an_exponential_stays() -> None:
    softmax = graph(
        ("shifted", "SUB", "x"),
        ("exp", "EXP", "shifted"),
        ("sum", "SUM", "exp"),
        ("log", "LOG", "sum"),
        ("y", "SUB", "shifted log"),
    )
    assert kept(softmax)["sum"] == FEEDS_LOG
    elu = graph(
        ("exp", "EXP", "x"),
        ("less", "SUB", "exp"),
        ("chosen", "SELECT", "x less"),
        ("head", "CONV_2D", "chosen"),
    )
    assert kept(elu) == {"exp": NO_KERNEL, "less": OF_EXP, "chosen": OF_EXP}


def test_the_layer_whose_answer_goes_into_a_logarithm_stays_and_its_activation_with_it() -> None:
    power = graph(
        ("bank", "FULLY_CONNECTED", "x"),
        ("some", "ADD", "bank"),
        ("log", "LOG", "some"),
        ("head", "FULLY_CONNECTED", "log"),
    )
    assert kept(power) == {"bank": FEEDS_LOG, "some": FEEDS_LOG, "log": NO_KERNEL}
    assert kept(power, "w8-dynamic") == {"some": NO_KERNEL, "log": NO_KERNEL}
    assert kept(power, "w8") == {}


@pytest.mark.parametrize("root", [False, True])
def test_the_power_that_a_bank_of_filters_sums_before_a_logarithm_stays(root: bool) -> None:
    """The spectrum that is squared too: 255 steps squared are as many decades short."""
    magnitude = [("root", "SQRT", "power")] if root else []
    spectrum = graph(
        ("noise", "CONV_2D", "x"),
        ("stft", "CONV_2D", "noise"),
        ("real", "SLICE", "stft"),
        ("imag", "STRIDED_SLICE", "stft"),
        ("real2", "MUL", "real real"),
        ("imag2", "POW", "imag two"),
        ("power", "ADD", "real2 imag2"),
        *magnitude,
        ("bank", "BATCH_MATMUL", "mel root" if root else "mel power"),
        ("some", "ADD", "bank"),
        ("log", "LOG", "some"),
        ("head", "FULLY_CONNECTED", "log"),
    )
    want = dict.fromkeys(("stft", "real", "imag", "real2", "power"), OF_POWER)
    want |= dict.fromkeys(("root",) if root else (), OF_POWER)
    want |= {"imag2": NO_KERNEL, "log": NO_KERNEL, "bank": FEEDS_LOG, "some": FEEDS_LOG}
    assert kept(spectrum) == want
    assert kept(spectrum, "w8") == {}


def test_a_log_of_a_square_is_the_same_however_the_square_is_written() -> None:
    for square in (("square", "MUL", "conv conv"), ("square", "Pow", "conv two")):
        log = graph(("conv", "CONV_2D", "x"), square, ("log", "LOG", "square"))
        assert kept(log)["conv"] == FEEDS_LOG


def test_a_network_before_a_logarithm_that_squares_nothing_is_quantized() -> None:
    plain = graph(
        ("conv", "CONV_2D", "x"),
        ("gate", "MUL", "conv other"),
        ("bank", "FULLY_CONNECTED", "gate"),
        ("log", "LOG", "bank"),
    )
    assert kept(plain) == {"bank": FEEDS_LOG, "log": NO_KERNEL}


@pytest.mark.parametrize("ceil", [0, 1])
def test_an_average_in_ceil_mode_stays(ceil: int) -> None:
    pool = Operator("pool", "AveragePool", ("x",), ("pool",), attributes={"ceil_mode": ceil})
    assert kept(Graph((pool,), ("pool",), ("x",))) == ({"pool": CEIL_MODE} if ceil else {})


def test_each_precision_has_the_kernels_of_its_activations() -> None:
    assert "HARD_SWISH" in INT8 - INT16
    for name, want in (("w8a8-static", INT8), ("w8a16", INT16), ("w8-dynamic", DYNAMIC)):
        assert kernels_of(find_precision(name)) == want


def test_what_has_no_kernel_needs_no_rule_and_its_tensors_keep_their_ranges() -> None:
    end = graph(("conv", "Conv", "x"), ("y", "HardSigmoid", "conv"))
    found = kept_operators(end, {}, {}, None, {}, io="int8", precision=W8A8_STATIC)
    assert found == {"y": NO_KERNEL}
    assert excluded(found) == {}
    ranges = {name: Range(-1.0, 1.0) for name in ("x", "conv", "y")}
    assert plan_tensors(end.operators, ranges, found)["y"].scheme == "int8"
    check_quantized_io(end, found, ranges)


def test_a_stage_is_not_exact_where_it_may_read_what_was_rounded_for_another() -> None:
    rows = (("y", "HardSigmoid", "x"), ("z", "Conv", "y"))
    alone, shared = graph(*rows), graph(*rows, ("w", "Conv", "x"))
    assert exact_stages(alone, {"first": "y"}, kept(alone)) == ("first",)
    assert exact_stages(shared, {"first": "y"}, kept(shared)) == ()


def test_the_lists_are_those_of_the_installed_quantizers() -> None:
    policy = pytest.importorskip("ai_edge_quantizer.default_policy").DEFAULT_JSON_POLICY
    registry = pytest.importorskip("onnxruntime.quantization.registry")
    lists = json.loads(policy)["ops_per_config"]
    names = {"CONV_2D_TRANSPOSE": "TRANSPOSE_CONV", "INPUT": "", "OUTPUT": ""}
    tflite = {
        key: {names.get(op, op) for op in lists[key]} - {""}
        for key in ("static_wi8_ai8", "static_wi8_ai16", "dynamic_wi8_afp32")
    }
    # onnxruntime computes a normalisation that could not be folded in float32 only.
    onnx = {*registry.QDQRegistry, *registry.QLinearOpsRegistry} - {"BatchNormalization"}
    assert tflite["static_wi8_ai8"] | onnx == INT8
    assert tflite["static_wi8_ai16"] | onnx == INT16
    assert tflite["dynamic_wi8_afp32"] | {"Conv", "MatMul", "Gemm"} == DYNAMIC
