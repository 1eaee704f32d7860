"""Operators that LiteRT's XNNPACK delegate leaves to the slow reference kernels.

The list is that of the delegate's own source, ``tflite/delegates/xnnpack/xnnpack_delegate.cc``
of google-ai-edge/LiteRT at f674577 (2026-08), which takes more than its README lists: LOG,
EXP, RSQRT, SUM, BATCH_MATMUL, GELU and others. Only TFLite files are asked.
"""

from __future__ import annotations

from collections.abc import Iterator

from tinyml.core.diagnosis import Finding
from tinyml.core.target import Target
from tinyml.modelfile.graph import Graph, Operator
from tinyml.modelfile.lint.wording import in_bytes, many

_LISTED = (
    "ABS ADD AVERAGE_POOL_2D BATCH_MATMUL CEIL CONCATENATION CONV_2D COS DENSIFY DEPTH_TO_SPACE "
    "DEPTHWISE_CONV_2D DEQUANTIZE DIV ELU EXP EXPAND_DIMS FLOOR FULLY_CONNECTED GELU HARD_SWISH "
    "LEAKY_RELU LOG LOGISTIC MAX_POOL_2D MAXIMUM MEAN MINIMUM MUL NEG PAD PRELU QUANTIZE "
    "REDUCE_MAX REDUCE_MIN RELU RELU6 RELU_N1_TO_1 RESHAPE RESIZE_BILINEAR ROUND RSQRT SIN "
    "SLICE SOFTMAX SPACE_TO_DEPTH SPLIT SQRT SQUARE SQUARED_DIFFERENCE STRIDED_SLICE SUB SUM "
    "TANH TRANSPOSE TRANSPOSE_CONV "
)
TAKEN = frozenset(_LISTED.split())
FLOATS = ("float32", "float16")
TYPES = (*FLOATS, "int8", "uint8")
SPLITS = 4
FIXES = {
    "SPLIT": f"split into at most {SPLITS}, or slice",
    "GATHER": "take constant indices by slicing, or an embedding outside of the graph",
    "POW": "write squares and square roots as x * x and sqrt",
    "RESIZE_NEAREST_NEIGHBOR": "repeat by reshape and expand, or interpolate bilinearly",
}
# Taken as floats, left as integers.
FLOAT_ONLY = {
    "SOFTMAX": "omit `io=int8`: the last softmax then stays in float32, which XNNPACK supports",
    "AVERAGE_POOL_2D": "use the mean over both axes, which XNNPACK supports in int8, or keep the "
    "stage in float32 with `keep_float`",
}
FIX = "replace it by operators of the delegate's list, or move it to an end of the network"


def not_delegated(graph: Graph, target: Target | None) -> Iterator[Finding]:
    """One finding per kind of operator."""
    if graph.format != "tflite":
        return
    left: dict[str, list[Operator]] = {}
    for operator in graph.operators:
        why = _why(graph, operator)
        if why:
            left.setdefault(why, []).append(operator)
    for why, operators in left.items():
        size = sum(graph.written(operator) for operator in operators)
        cost = f"{many(len(operators), 'operator')} {why} outside of XNNPACK, {in_bytes(size)} "
        cost += "written; the graph is cut around each"
        fix = FIXES.get(why) or FLOAT_ONLY.get(operators[0].op, FIX)
        yield Finding("not_delegated", operators[0].label, cost, fix)


def _why(graph: Graph, operator: Operator) -> str:
    """The operator, with what is wrong if it is not the operator itself; empty when taken."""
    flowing = [v for v in (graph.tensors[n] for n in operator.operands) if v.constant is None]
    if operator.op not in TAKEN:
        # What depends on constants alone is computed once.
        return operator.op if flowing else ""
    if operator.op == "SPLIT" and len(operator.outputs) > SPLITS:
        return "SPLIT"
    types = FLOATS if operator.op in FLOAT_ONLY else TYPES
    wrong = [value.dtype for value in flowing if value.dtype not in types]
    return f"{operator.op} of {wrong[0]}" if wrong else ""
