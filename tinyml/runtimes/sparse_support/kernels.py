"""Which kernel a 1x1 convolution gets, and what a switched network saves.

``create_spmm_path`` of XNNPACK's ``convolution-nchw.c`` takes blocks of output channels where
nearly all values of the nonzero blocks are nonzero; ``spmm-config.c`` has vector kernels for
blocks on AArch64 only.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import numpy as np

from tinyml.core.spec import Array
from tinyml.modelfile.ops import PRODUCTS
from tinyml.runtimes.sparse_support.conditions import AVERAGES
from tinyml.runtimes.sparse_support.nodes import Node, Weight

DENSE = "dense"
SCALAR = "scalar"
VECTOR_BLOCKS = ("aarch64",)

# Instructions of one call on AArch64, each for what `features` counts: least squares over the
# corpus' recorded counts, by ``python tools/check_sparse --fit``.
INSTRUCTIONS = {
    "product": 0.376,
    "product1": 0.566,
    "product_chw": 0.278,
    "depthwise3": 1.311,
    "depthwise5": 0.794,
    "depthwise3_chw": 1.094,
    "depthwise5_chw": 0.532,
    "block1_chw": 0.152,
    "block2_chw": 0.195,
    "block4_chw": 0.462,
    "row_chw": 1.968,
    "pass_chw": 15.191,
    "value": 1.656,
    "value_chw": 1.342,
    "resize": 1.529,
    "resize_chw": 7.721,
}


def block_of(weight: Weight) -> int:
    """Output channels that share their zeros: 4, 2 or 1, as XNNPACK finds them."""
    matrix = weight.values.reshape(weight.values.shape[0], -1)
    for block, share in ((4, 18 / 5), (2, 9 / 5)):
        blocked, full = _blocks(matrix, block)
        if full >= blocked * share and blocked:
            return block
    return 1


def _blocks(matrix: Array, block: int) -> tuple[int, int]:
    """(nonzero blocks, nonzero values in them)."""
    rows = matrix.shape[0] // block * block
    stacked = (matrix[:rows] != 0).reshape(-1, block, matrix.shape[1])
    return int(stacked.any(1).sum()), int(stacked.sum())


def kernel(weight: Weight, arch: str) -> str:
    """``spmm 32x1`` and so on; with `SCALAR` where a block has no vector kernel."""
    block = block_of(weight)
    if block == 1 or arch in VECTOR_BLOCKS:
        return f"spmm 32x{block}"
    return f"spmm 8x{block} {SCALAR}"


def macs(node: Node) -> int:
    """Multiply-accumulates of one call; 0 for what multiplies no weight."""
    if node.weight is None:
        return 0
    shapes = [node.shapes[0], node.weight.values.shape]  # a fused padding has other operands
    return PRODUCTS[node.op].macs(node.options, shapes, node.output_shape) or 0


def features(nodes: Sequence[Node], switched: Collection[int]) -> dict[str, float]:
    """What a call's instructions are counted by, the nodes ``switched`` with sparse kernels.

    Multiply-accumulates of products, of those by nonzero weights where they are stored sparse; how
    often a kernel comes to a nonzero block (``pass``), which on few pixels is what counts; values
    written where nothing is multiplied, or besides that. ``_chw``: in NCHW.
    """
    found = dict.fromkeys(INSTRUCTIONS, 0.0)
    for place, node in enumerate(nodes):
        chw = place in switched
        for name, amount in _costs(node, chw):
            key = f"{name}_chw" if chw else name
            if key in found:
                found[key] += amount
    return found


def _costs(node: Node, chw: bool) -> Iterator[tuple[str, float]]:
    size, count = float(np.prod(node.output_shape)), float(macs(node))
    pixels = int(np.prod(node.output_shape[1:-1]))
    if node.is_pointwise and node.weight is not None and chw:
        block, kept = block_of(node.weight), 1 - node.weight.sparsity
        yield f"block{block}", count * kept
        yield "pass", node.weight.values.size * kept / block * _passes(pixels)
        yield "row", size
    elif node.op == "DEPTHWISE_CONV_2D" and node.convolution is not None:
        width = node.output_shape[-2]
        yield (
            f"depthwise{node.convolution.kernel[0]}",
            count * (_filled(width) / width if chw else 1),
        )
    elif count:
        yield from _product(count, pixels, chw)
    elif node.op == "RESIZE_BILINEAR":
        yield "resize", size
    elif node.op not in AVERAGES:
        yield "value", size


def _filled(pixels: int) -> int:
    """Vectors of four are computed whole."""
    return -(-pixels // 4) * 4


def _product(count: float, pixels: int, chw: bool) -> Iterator[tuple[str, float]]:
    """A single row has a kernel of its own."""
    if pixels == 1 and not chw:
        yield "product1", count
    else:
        yield "product", count * _filled(pixels) / pixels


def _passes(pixels: int) -> int:
    """How often ``spmm 32x`` goes through the weights: 32 pixels each, then 16, 8, 4, 2 and 1."""
    return pixels // 32 + (pixels % 32).bit_count()


def instructions(nodes: Sequence[Node], switched: Collection[int]) -> float:
    """Predicted, of one call."""
    counted = features(nodes, switched)
    return sum(INSTRUCTIONS[name] * amount for name, amount in counted.items())


def speedup(nodes: Sequence[Node], switched: Collection[int], arch: str) -> float | None:
    """Dense over sparse; None where nothing was counted to predict it by.

    Less than 1: sparse kernels are the slower ones, as on images of few pixels.
    """
    if arch not in VECTOR_BLOCKS or not switched:
        return None
    sparse = instructions(nodes, switched)
    return round(instructions(nodes, ()) / sparse, 2) if sparse else None
