"""Which kernel a 1x1 convolution gets, and what a switched network saves.

``create_spmm_path`` of XNNPACK's ``convolution-nchw.c`` takes blocks of output channels where
nearly all values of the nonzero blocks are nonzero; ``spmm-config.c`` has vector kernels for
blocks on AArch64 only.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinyml.runtimes.sparse.nodes import Node, Weight
from tinyml.spec import Array

DENSE = "dense"
SCALAR = "scalar"
VECTOR_BLOCKS = ("aarch64",)

# Instructions of one call on AArch64, by least squares over the corpus' recorded counts:
# python scripts/check_sparse.py --fit. Per multiply-accumulate, or per value where said so.
DENSE_POINTWISE = 0.0
SPARSE_POINTWISE = {1: 0.0, 2: 0.0, 4: 0.0}
SPARSE_VALUE = 0.0
OTHER = 0.0


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


def features(nodes: Sequence[Node], switched: set[int]) -> dict[str, float]:
    """What the instructions of a call are counted by, `switched` nodes with sparse kernels."""
    found: dict[str, float] = dict.fromkeys(
        ("dense", "sparse1", "sparse2", "sparse4", "written", "deep", "deep_switched"), 0.0
    )
    for place, node in enumerate(nodes):
        count, size = macs(node), float(np.prod(node.output_shape))
        if node.is_pointwise and place in switched and node.weight is not None:
            share = 1 - node.weight.sparsity
            found[f"sparse{block_of(node.weight)}"] += count * share
            found["written"] += size
        elif node.op == "DEPTHWISE_CONV_2D":
            found["deep_switched" if place in switched else "deep"] += count
        elif count:
            found["dense"] += count
        else:
            found["written"] += size
    return found
