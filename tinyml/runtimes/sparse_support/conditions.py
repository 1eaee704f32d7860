"""What one node must be for sparse inference: ``xnn_check_nchw_compatibility``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tinyml.runtimes.sparse_support.nodes import FLOATS, SAME_AT_STRIDE, Node
from tinyml.runtimes.sparse_support.versions import Version

ENTRY, INSIDE, EXIT = "NHWC2NCHW", "NCHW", "NCHW2NHWC"
AVERAGES = ("MEAN", "SUM")
UNARY = (
    *("ABS", "CEIL", "COS", "ELU", "EXP", "FLOOR", "GELU", "HARD_SWISH", "LEAKY_RELU", "LOG"),
    *("LOGISTIC", "NEG", "RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1", "ROUND", "RSQRT"),
    *("SIGN", "SIN", "SQRT", "SQUARE", "TANH"),
)


@dataclass(frozen=True, slots=True)
class Reason:
    """A condition that does not hold, or a trap: where, what is there, what would do, the fix."""

    condition: str
    node: str
    value: str
    needed: str
    fix: str

    @property
    def headed(self) -> str:
        """The condition, and its node where it has one."""
        return f"{self.condition} at {self.node}" if self.node else self.condition


@dataclass(frozen=True, slots=True)
class Verdict:
    """The layouts that a node can stand between; none of them: ``refusal`` says why."""

    layouts: frozenset[str]
    refusal: Reason | None = None


def check(node: Node, version: Version) -> Verdict:
    """XNNPACK's answer for ``node``."""
    if any(dtype not in FLOATS for dtype in node.dtypes):
        kinds = ", ".join(sorted(set(node.dtypes)))
        return _no(node, "dtype", kinds, "float32 or float16", "sparse kernels compute in floats")
    if node.op == "FULLY_CONNECTED":
        return _fully_connected(node, version)
    checks: dict[str, Callable[[Node], Verdict]] = {
        "CONV_2D": _convolution,
        "DEPTHWISE_CONV_2D": _depthwise,
        "RESIZE_BILINEAR": _resize,
        "PRELU": _prelu,
    }
    if node.op in checks:
        return checks[node.op](node)
    if node.op in ("ADD", "MUL"):
        return _binary(node)
    if node.op == "DEPTH_TO_SPACE":
        return Verdict(frozenset({EXIT}))
    if node.op in AVERAGES or node.op in UNARY:
        layouts = {INSIDE, EXIT} if node.op in AVERAGES else {INSIDE}
        return _four_dimensions(node, frozenset(layouts))
    binary = node.op in ("SUB", "DIV", "MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE", "POW")
    needed = "ADD or MUL" if binary else "1x1, depthwise, ADD, MUL, unary, RESIZE_BILINEAR, MEAN"
    fix = "write it as an operator that may stand there, or move it behind the average"
    return _no(node, "binary" if binary else "operator", node.op, needed, fix)


def _no(node: Node, condition: str, value: str, needed: str, fix: str) -> Verdict:
    return Verdict(frozenset(), Reason(condition, node.name, value, needed, fix))


def _fully_connected(node: Node, version: Version) -> Verdict:
    """Those of the cluster are as the version has it."""
    counted = version.counts_dense_layers
    if counted == "all" or (counted == "dimensions" and node.options.get("keepNumDims")):
        return Verdict(frozenset({INSIDE}))
    fix = "it may stand behind the average"
    return _no(node, "operator", "FULLY_CONNECTED", "a 1x1 convolution", fix)


def _convolution(node: Node) -> Verdict:
    conv = node.convolution
    if conv is None:
        return _no(node, "convolution", "a computed weight", "a constant", "store the weight")
    shown = _shown(node)
    if node.is_pointwise:
        plain = (conv.groups, conv.stride, conv.dilation) == (
            1,
            (1, 1),
            (1, 1),
        )
        if plain and conv.padding == (0, 0, 0, 0):
            return Verdict(frozenset({INSIDE}))
        fix = "move the stride to a depthwise convolution before it"
        return _no(node, "convolution", shown, "1x1, stride 1, one group, no padding", fix)
    entry = (
        conv.kernel,
        conv.stride,
        conv.dilation,
        conv.groups,
        conv.channels,
    )
    if entry == ((3, 3), (2, 2), (1, 1), 1, 3) and conv.padding == (1, 1, 1, 1):
        return Verdict(frozenset({ENTRY}))
    needed = "first layer: 3x3, stride 2, padding 1 on all sides, 3 channels; others: 1x1"
    if conv.padding == SAME_AT_STRIDE:
        fix = "pad explicitly by 1 on all sides before it, and convolve VALID"
    elif conv.channels == 1:
        fix = "give the image three times, as 3 channels"
    else:
        fix = "make it the first layer, or a depthwise and a 1x1 convolution"
    return _no(node, "convolution", shown, needed, fix)


def _depthwise(node: Node) -> Verdict:
    conv = node.convolution
    if conv is None:
        return _no(node, "depthwise", "a computed weight", "a constant", "store the weight")
    side = conv.kernel[0]
    symmetric = conv.padding == (side // 2,) * 4
    if (
        conv.kernel in ((3, 3), (5, 5))
        and conv.stride in ((1, 1), (2, 2))
        and conv.dilation == (1, 1)
        and conv.multiplier == 1
        and symmetric
    ):
        return Verdict(frozenset({INSIDE}))
    needed = "3x3 padded by 1 or 5x5 padded by 2 on all sides, stride 1 or 2, multiplier 1"
    fix = "pad explicitly on all sides" if not symmetric else "choose such a shape and train again"
    return _no(node, "depthwise", _shown(node), needed, fix)


def _shown(node: Node) -> str:
    conv = node.convolution
    assert conv is not None
    height, width = conv.kernel
    padding = conv.padding if isinstance(conv.padding, str) else list(conv.padding)
    parts = [f"{height}x{width} {node.op}", f"stride {conv.stride[0]}", f"padding {padding}"]
    parts += [f"dilation {conv.dilation[0]}"] if conv.dilation != (1, 1) else []
    parts += [f"multiplier {conv.multiplier}"] if conv.multiplier != 1 else []
    return ", ".join([*parts, f"{conv.channels} channels"])


def _binary(node: Node) -> Verdict:
    """A constant's own shape is not asked for: the first operand's is, for either of them."""
    shapes = ", ".join(str(list(shape)) for shape in node.shapes)
    needed, fix = "two computed values of 4 dimensions", "fold the constant into a convolution"
    if any(len(shape) != 4 for shape in node.shapes[:2]):
        return _no(node, "binary", f"{node.op} of {shapes}", needed, fix)
    if node.constant_places and int(np.sum(np.array(node.shapes[0]) != 1)) > 1:
        return _no(node, "binary", f"{node.op} of {shapes} with a constant", needed, fix)
    return Verdict(frozenset({INSIDE}))


def _resize(node: Node) -> Verdict:
    if len(node.shapes[0]) == 4 and min(node.shapes[0][1:3]) > 1:
        return Verdict(frozenset({INSIDE}))
    value = f"RESIZE_BILINEAR of {list(node.shapes[0])}"
    return _no(node, "operator", value, "more than one pixel a side", "repeat the pixel instead")


def _prelu(node: Node) -> Verdict:
    """One slope is a leaky ReLU to LiteRT's delegate."""
    if len(node.shapes) == 2 and int(np.prod(node.shapes[1] or (1,))) == 1:
        return _four_dimensions(node, frozenset({INSIDE}))
    fix = "use ReLU, or a leaky ReLU of one slope, and train again"
    return _no(node, "operator", "PRELU of a slope a channel", "one slope", fix)


def _four_dimensions(node: Node, layouts: frozenset[str]) -> Verdict:
    if len(node.shapes[0]) == 4:
        return Verdict(layouts)
    value = f"{node.op} of {list(node.shapes[0])}"
    return _no(node, "operator", value, "a value of 4 dimensions", "keep the dimensions")
