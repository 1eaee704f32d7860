"""The oldest TFLite runtime that has every operator version of a file.

The file's own ``min_runtime_version`` metadata is not reliable, so it is computed from
the operators. The facts are those of TensorFlow's table, tensorflow/lite/tools/
versioning/runtime_version.cc (Apache-2.0): the release in which a version appeared.
tflite-runtime has TensorFlow's numbers; LiteRT counts anew and is later than all of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tinyml.core.versions import order
from tinyml.modelfile.tflite_file import operator_name

# Operator, then the release of its version 1, 2, 3 ...
_TABLE = """
ABS 1.13 2.4 2.5 2.6
ADD 1.5 1.14 2.4 2.6
ARG_MAX 1.9 1.14 2.9
ARG_MIN 1.9 1.14 2.9
AVERAGE_POOL_2D 1.5 1.14 2.3
BATCH_MATMUL 2.3 2.3 2.4 2.5
BATCH_TO_SPACE_ND 1.6 1.14 2.3
CAST 1.5 2.7 2.8 2.9
CEIL 1.14
COMPLEX_ABS 2.5
CONCATENATION 1.5 1.14 2.3
CONV_2D 1.5 1.14 1.14 2.3 2.4 2.9
CONV_3D 2.5
COS 1.14
CUMSUM 2.4
DEPTHWISE_CONV_2D 1.5 1.12 1.14 2.2 2.3 2.3
DEPTH_TO_SPACE 2.1 2.5
DENSIFY 2.2
DEQUANTIZE 1.13.1 1.14 1.15 2.2 2.7
DIV 1.6 2.3
ELU 1.14
EMBEDDING_LOOKUP 1.13 1.14 1.14
EQUAL 1.14 1.14 2.3
EXP 1.7
EXPAND_DIMS 1.10
FLOOR 1.9
FLOOR_DIV 1.14 1.14
FLOOR_MOD 1.13
FULLY_CONNECTED 1.5 1.10 1.14 1.14 2.0 2.1 2.3 2.3 2.3
GATHER 1.6 1.14 1.15 2.4 2.5
GATHER_ND 1.14 2.3 2.5
GELU 2.9 2.9
GREATER 1.14 1.14
GREATER_EQUAL 1.14 1.14
HARD_SWISH 1.15
IMAG 2.5
L2_NORMALIZATION 1.5 1.14
LEAKY_RELU 1.13.1 2.3
LESS 1.14 1.14
LESS_EQUAL 1.14 1.14
LOG 1.14
LOGICAL_AND 1.11
LOGICAL_NOT 1.11
LOGICAL_OR 1.11
LOGISTIC 1.14 1.14 2.3
LOG_SOFTMAX 1.14 1.14
MAXIMUM 1.14 1.14 2.3 2.3
MAX_POOL_2D 1.5 1.14 2.3
MEAN 1.6 1.14 2.4
MINIMUM 1.14 1.14 2.3 2.3
MIRROR_PAD 1.13.1 2.3
MUL 1.5 1.14 1.15 2.3 2.6
NEG 1.9
NOT_EQUAL 1.14 1.14 2.3
ONE_HOT 1.11
PACK 1.11 1.14 2.3
PAD 1.5 1.14 2.4 2.6
PADV2 1.9 1.14 2.4 2.6
POW 1.10
PRELU 1.8
QUANTIZE 1.14 1.15 2.7
REAL 2.5
REDUCE_ALL 2.6
REDUCE_ANY 1.11
REDUCE_MAX 1.11 1.14 2.5
REDUCE_MIN 1.11 1.14 2.5
REDUCE_PROD 1.11 2.6
RELU 1.5 2.1 2.5
RELU6 1.5 1.14 2.5
RELU_N1_TO_1 1.5
RESHAPE 1.5
RFFT2D 2.5
RESIZE_BILINEAR 1.7 1.14 2.2 2.5
RESIZE_NEAREST_NEIGHBOR 1.13.1 1.14 2.3 2.4
ROUND 1.14
RSQRT 1.10 2.5
SELECT 1.14 1.14
SELECT_V2 2.2
SHAPE 1.10
SIN 1.9
SLICE 1.14 1.14 1.14 2.4 2.5
SOFTMAX 1.5 1.14 2.3
SPACE_TO_BATCH_ND 1.6 1.14 2.3
SPACE_TO_DEPTH 1.5 1.14
SPLIT 1.5 1.14 1.14 2.3
SPLIT_V 1.13.1 2.3
SQRT 1.10
SQUARE 1.12
SQUARED_DIFFERENCE 1.13.1 2.5
SQUEEZE 1.6 2.5
STRIDED_SLICE 1.6 1.14 2.1 2.2 2.5 2.6
SUB 1.6 1.14 2.3 2.4 2.4
SUM 1.10 1.15
TANH 1.14 1.14 2.3
TILE 1.10.1 2.2 2.8
TOPK_V2 1.7 1.14
TRANSPOSE 1.6 1.14 1.15 2.3 2.4
TRANSPOSE_CONV 1.9 2.2 2.3
UNPACK 1.11 1.14 2.2 2.3
"""
# The first LiteRT release is later than TensorFlow 2.9, where the table ends.
NEWER = "ai-edge-litert>=1.0"
LATER = "2.10"
_RELEASES = {line.split()[0]: line.split()[1:] for line in _TABLE.split("\n") if line}
_BROADCAST_TO = {2: "2.5", 3: "2.5"}


def minimum_runtime(operators: Iterable[tuple[str, int]]) -> str:
    """A requirement such as ``tflite-runtime>=2.3`` for (operator, version) pairs.

    An operator or version that the table lacks asks for LiteRT.
    """
    found = [_release(name, version) for name, version in operators]
    if None in found:
        return NEWER
    newest = max((r for r in found if r is not None), key=order, default="1.5")
    return f"tflite-runtime>={newest}"


def newest_operator(operators: Iterable[tuple[str, int]]) -> tuple[str, int]:
    """The first of the (operator, version) pairs that ask for `minimum_runtime`."""
    return max(operators, key=lambda own: order(_release(*own) or LATER))


def operators_of(model: Any) -> list[tuple[str, int]]:
    """(operator, version) pairs of a ``schema.ModelT``."""
    return [(operator_name(code), int(code.version)) for code in model.operatorCodes]


def _release(name: str, version: int) -> str | None:
    if name == "BROADCAST_TO":  # its version 1 was withdrawn
        return _BROADCAST_TO.get(version)
    known = _RELEASES.get(name, [])
    return known[version - 1] if 1 <= version <= len(known) else None
