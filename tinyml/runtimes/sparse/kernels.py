"""Which kernel a 1x1 convolution gets, and what a switched network saves.

``create_spmm_path`` of XNNPACK's ``convolution-nchw.c`` takes blocks of output channels where
nearly all values of the nonzero blocks are nonzero; ``spmm-config.c`` has vector kernels for
blocks on AArch64 only.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import numpy as np

from tinyml.runtimes.sparse.conditions import AVERAGES
from tinyml.runtimes.sparse.nodes import Node, Weight
from tinyml.spec import Array

DENSE = "dense"
SCALAR = "scalar"
VECTOR_BLOCKS = ("aarch64",)

# Instructions of one call on AArch64, each for what `features` counts: least squares over the
# corpus' recorded counts, by ``python scripts/check_sparse --fit``.
INSTRUCTIONS = {
    "product": 0.378,
    "product_chw": 0.768,
    "depthwise3": 1.617,
    "depthwise5": 0.763,
    "depthwise3_chw": 0.832,
    "depthwise5_chw": 0.529,
    "block1_chw": 0.656,
    "block2_chw": 0.456,
    "block4_chw": 0.604,
    "row_chw": 0.931,
    "value": 0.841,
    "value_chw": 1.446,
    "resize": 1.154,
    "resize_chw": 8.266,
}

# Images of fewer pixels were not counted: what a channel costs however few they are is not known.
LEAST_PIXELS = 64
MOST_BELOW = 0.25


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
    values, pixels = node.weight.values, int(np.prod(node.output_shape[:-1]))
    if node.op == "DEPTHWISE_CONV_2D":
        return int(np.prod(values.shape[1:3])) * int(np.prod(node.output_shape))
    return values.size * pixels


def features(nodes: Sequence[Node], switched: Collection[int]) -> dict[str, float]:
    """What a call's instructions are counted by, the nodes ``switched`` with sparse kernels.

    Multiply-accumulates of products, of those by nonzero weights where they are stored sparse;
    values written where nothing is multiplied, or besides that. ``_chw``: in NCHW.
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
    if node.is_pointwise and node.weight is not None and chw:
        yield f"block{block_of(node.weight)}", count * (1 - node.weight.sparsity)
        yield "row", size
    elif node.op == "DEPTHWISE_CONV_2D" and node.window is not None:
        yield f"depthwise{node.window.kernel[0]}", count
    elif count:
        yield "product", count
    elif node.op == "RESIZE_BILINEAR":
        yield "resize", size
    elif node.op not in AVERAGES:
        yield "value", size


def instructions(nodes: Sequence[Node], switched: Collection[int]) -> float:
    """Predicted, of one call."""
    counted = features(nodes, switched)
    return sum(INSTRUCTIONS[name] * amount for name, amount in counted.items())


def speedup(nodes: Sequence[Node], switched: Collection[int], arch: str) -> float | None:
    """Dense over sparse; None where nothing was counted to predict it by.

    So it is too where a quarter of the switched multiply-accumulates and more are of smaller
    images than the corpus has: there sparse kernels can be slower than dense ones.
    """
    if arch not in VECTOR_BLOCKS or not switched or _share_of_small(nodes, switched) > MOST_BELOW:
        return None
    sparse = instructions(nodes, switched)
    return round(instructions(nodes, ()) / sparse, 2) if sparse else None


def _share_of_small(nodes: Sequence[Node], switched: Collection[int]) -> float:
    counts = [(macs(nodes[place]), nodes[place].output_shape) for place in switched]
    small = sum(count for count, shape in counts if np.prod(shape[1:-1]) < LEAST_PIXELS)
    return small / max(1, sum(count for count, _ in counts))
