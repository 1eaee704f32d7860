"""Which operators have integer kernels, and which others need their neighbours in float32.

The lists are those of the quantizers, which know their runtimes: ``ops_per_config`` of
ai-edge-quantizer's ``default_policy`` for TFLite; for ONNX ``QDQRegistry`` of onnxruntime, and
``QLinearOpsRegistry``, whose operators it fuses with the pairs around them. A test compares them
with what is installed.

What is not listed computes in float32, between integers. Where that costs accuracy is where
a float32 value spans more decades than 255 steps do. An exponential makes such values, a
logarithm reads them, and so do the sums and products between the two: softplus, mish,
log-softmax and log-sigmoid are made of these. A square doubles the decades: the power of a
spectrum, which a bank of filters sums before a logarithm, is such a value too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from tinyml.export.quantization.precision import Precision
from tinyml.modelfile.graph import Graph, Operator
from tinyml.modelfile.ops import PRODUCTS

_TFLITE_INT16 = (
    *("ADD", "AVERAGE_POOL_2D", "BATCH_MATMUL", "CONCATENATION", "CONV_2D", "TRANSPOSE_CONV"),
    *("DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "GELU", "LOGISTIC", "MEAN", "MUL", "RESHAPE"),
    *("RSQRT", "SOFTMAX", "SPLIT", "STRIDED_SLICE", "SUB", "TANH", "TRANSPOSE", "SLICE", "SUM"),
    *("SELECT", "SELECT_V2", "DYNAMIC_UPDATE_SLICE", "STABLEHLO_COMPOSITE", "PAD"),
    *("MAX_POOL_2D", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "GATHER_ND", "PACK"),
    *("UNPACK", "DIV", "BROADCAST_TO", "SQRT", "GATHER", "MAXIMUM", "PADV2", "REDUCE_MIN"),
    *("EQUAL", "NOT_EQUAL", "MIRROR_PAD", "RELU"),
)
_ONNX_STATIC = (
    *("Conv", "ConvTranspose", "Gemm", "Clip", "Relu", "Reshape", "Transpose", "Squeeze"),
    *("Unsqueeze", "Flatten", "Resize", "MaxPool", "AveragePool", "Slice", "Pad", "MatMul"),
    *("Split", "Gather", "GatherElements", "Where", "InstanceNormalization"),
    *("LayerNormalization", "TopK", "CumSum", "Add", "Mul", "Concat", "Sigmoid", "Softmax"),
    *("LeakyRelu", "GlobalAveragePool", "ArgMax", "EmbedLayerNormalization"),
)
_DYNAMIC = (
    *("BATCH_MATMUL", "CONV_2D", "TRANSPOSE_CONV", "DEPTHWISE_CONV_2D", "EMBEDDING_LOOKUP"),
    *("FULLY_CONNECTED", "Conv", "MatMul", "Gemm"),
)
INT8 = frozenset(
    {*_TFLITE_INT16, "SQUARED_DIFFERENCE", "HARD_SWISH", "SPACE_TO_DEPTH", *_ONNX_STATIC}
)
INT16 = frozenset({*_TFLITE_INT16, *_ONNX_STATIC})
DYNAMIC = frozenset(_DYNAMIC)

NO_KERNEL = "has no integer kernel"
FEEDS_LOG = "feeds a logarithm, whose argument spans more decades than 255 steps do"
OF_POWER = "computes a power whose sums feed a logarithm: it spans more decades than 255 steps do"
OF_EXP = "computes with an exponential, which spans more decades than 255 steps do"
CEIL_MODE = "onnxruntime's integer average in ceil mode divides its last window by a wrong count"
CONSTANT_FIRST = "LiteRT has no such product of a constant with what is computed"
# Reasons that are found in the lists here.
BY_TABLE = (NO_KERNEL, FEEDS_LOG, OF_POWER, OF_EXP)
LOGARITHMS = ("LOG", "Log")
EXPONENTIALS = ("EXP", "Exp")
# Sums, products and moves: they pass on how many decades their operands span.
LINEAR = (
    *("ADD", "SUB", "MUL", "SUM", "MEAN", "MAXIMUM", "MINIMUM", "REDUCE_MAX", "RELU"),
    *("RESHAPE", "TRANSPOSE", "SQUEEZE", "EXPAND_DIMS", "SLICE", "STRIDED_SLICE", "BROADCAST_TO"),
    *("Add", "Sub", "Mul", "ReduceSum", "ReduceMean", "Max", "Min", "ReduceMax", "Relu", "Clip"),
    *("Reshape", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Expand", "Identity"),
)
SQUARES = ("SQUARE", "SQUARED_DIFFERENCE", "POW", "Pow")
# Between a signal, its power, its magnitude and a logarithm.
TO_LOG = (*LINEAR, *SQUARES, "SQRT", "Sqrt")
# What bounds an exponential again: the choice of another value, the division by a sum.
BOUNDING = ("SELECT", "SELECT_V2", "Where", "DIV", "Div")


def kernels_of(precision: Precision) -> frozenset[str]:
    """Operators that a runtime of either format can compute with integers of ``precision``."""
    if not precision.calibrated:
        return DYNAMIC
    return INT16 if precision.activations == "int16" else INT8


def without_kernel(graph: Graph, precision: Precision) -> dict[str, str]:
    """Operator -> `NO_KERNEL`."""
    listed = kernels_of(precision)
    return {own.name: NO_KERNEL for own in graph.operators if own.op not in listed}


def without_right_kernel(graph: Graph, precision: Precision) -> dict[str, str]:
    """Operator -> why it stays in float32 though its kind has a kernel."""
    found = {}
    static = precision.calibrated and precision.activations == "int8"
    for own in graph.operators:
        if own.op == "AveragePool" and own.attributes.get("ceil_mode") and precision.calibrated:
            found[own.name] = CEIL_MODE
        if not static and is_constant_first(graph, own):
            found[own.name] = CONSTANT_FIRST
    return found


def is_constant_first(graph: Graph, operator: Operator) -> bool:
    """Whether TFLite multiplies a constant by what is computed, not the other way round."""
    return operator.op == "BATCH_MATMUL" and graph.stored(operator.operand(0)) is not None


def around_steep(graph: Graph, precision: Precision) -> dict[str, str]:
    """Operator -> why it stays in float32 next to a logarithm or an exponential.

    Only of those that have a kernel, and where activations have ranges fixed by calibration.
    """
    if not precision.calibrated:
        return {}
    arguments = [name for own in graph.operators if own.op in LOGARITHMS for name in own.inputs]
    exps = [own for own in graph.operators if own.op in EXPONENTIALS]
    before = _before(graph, arguments)
    found = dict.fromkeys(_behind(graph, exps), OF_EXP)
    found |= dict.fromkeys(_powers(graph, before), OF_POWER)
    found |= dict.fromkeys(before, FEEDS_LOG)
    missing = without_kernel(graph, precision)
    return {name: why for name, why in found.items() if name not in missing}


def _before(graph: Graph, tensors: Iterable[str]) -> dict[str, Operator]:
    """What computes ``tensors``, to the first operators that are not in `TO_LOG`."""
    return graph.feeding(tensors, lambda own: own.inputs if own.op in TO_LOG else ())


def _powers(graph: Graph, before: Mapping[str, Operator]) -> dict[str, Operator]:
    """What computes squares that products in ``before`` sum, with the layers that are squared."""
    found: dict[str, Operator] = {}
    summed = (name for own in before.values() if own.op in PRODUCTS for name in own.inputs)
    for tensor in summed:
        made = _before(graph, [tensor])
        if any(map(_is_square, made.values())):
            found |= made
    return found


def _is_square(operator: Operator) -> bool:
    return operator.op in SQUARES or (
        operator.op in ("MUL", "Mul") and len(operator.inputs) > len({*operator.inputs})
    )


def _behind(graph: Graph, exps: Collection[Operator]) -> list[str]:
    """What computes with the values of ``exps``, to what bounds them again."""
    found: dict[str, None] = {}
    left = [name for own in exps for name in own.outputs]
    while left:
        for reader in graph.consumers.get(left.pop(), ()):
            if reader.name in found or reader.op not in (*LINEAR, *BOUNDING):
                continue
            found[reader.name] = None
            left += reader.outputs if reader.op in LINEAR else ()
    return list(found)


def excluded(kept: Mapping[str, str]) -> dict[str, str]:
    """Those of ``kept`` that a quantizer would quantize unless told not to."""
    return {name: why for name, why in kept.items() if why != NO_KERNEL}
