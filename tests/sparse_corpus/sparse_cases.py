"""Small networks, each meeting XNNPACK's conditions for sparse kernels or just missing one.

`CASES`: name -> (the condition it is about, whether the condition is met, the network).
Sizes are such that the sparse kernels show in a count of instructions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sparse_network import NONE, SAME, VALID, SparseNetwork

SIDE = 32
WIDE = 96
ZEROS = 0.9
Ends = tuple[SparseNetwork, str]


@dataclass(frozen=True, slots=True)
class Case:
    """``met``: whether the network meets ``condition``; ``build`` makes it and names its ends."""

    condition: str
    met: bool
    build: Callable[[], tuple[SparseNetwork, tuple[str, ...]]]

    def write(self, folder: Path, name: str) -> tuple[Path, Path]:
        """(sparse, dense) files in ``folder``."""
        network, ends = self.build()
        return network.write(folder, name, *ends)


def _entry(channels: int = 3, kernel: int = 3, stride: int = 2, padding: int = 1) -> Ends:
    """An explicit padding and a convolution of 32x32 pixels."""
    network = SparseNetwork(1, SIDE, SIDE, channels)
    x = network.pad(network.input, padding) if padding else network.input
    return network, network.convolution(x, 16, kernel, stride, VALID if padding else SAME)


def _body(network: SparseNetwork, x: str, zeros: float = ZEROS, block: int = 1) -> str:
    x = network.convolution(network.depthwise(x), WIDE, zeros=zeros, block=block)
    return network.convolution(x, WIDE, zeros=zeros, block=block)


def _plain(zeros: float = ZEROS, block: int = 1, **entry: int) -> tuple[SparseNetwork, tuple[str]]:
    network, x = _entry(**entry)
    return network, (network.mean(_body(network, x, zeros, block)),)


def _small(side: int) -> tuple[SparseNetwork, tuple[str]]:
    """Wide layers on ``side`` x ``side`` pixels, fewer than a kernel takes at once."""
    network = SparseNetwork(1, 2 * side, 2 * side, 3)
    x = network.convolution(network.pad(network.input), 16, 3, 2, VALID)
    for _ in range(2):
        x = network.convolution(network.depthwise(x), 4 * WIDE, zeros=ZEROS)
    return network, (network.mean(x),)


def _with(middle: Callable[[SparseNetwork, str], str]) -> tuple[SparseNetwork, tuple[str]]:
    """``middle`` between the pointwise convolutions."""
    network, x = _entry()
    x = network.convolution(network.depthwise(x), WIDE, zeros=ZEROS)
    x = network.convolution(middle(network, x), WIDE, zeros=ZEROS)
    return network, (network.mean(x),)


def _headed(zeros: float, classes: int, *, keep: bool) -> tuple[SparseNetwork, tuple[str]]:
    """A fully connected layer right behind the average."""
    network, x = _entry()
    x = network.mean(_body(network, x))
    return network, (network.fully_connected(x, classes, zeros, keep=keep),)


def _squeezed(network: SparseNetwork, x: str) -> str:
    """Squeeze and excitation: each channel times what its average says."""
    inner = network.convolution(network.mean(x, keep=True), 24, zeros=ZEROS)
    gate = network.convolution(inner, WIDE, zeros=ZEROS, activation=NONE)
    return network.binary("MUL", x, network.unary("LOGISTIC", gate))


def _tail(end: Callable[[SparseNetwork, str], str]) -> tuple[SparseNetwork, tuple[str]]:
    network, x = _entry()
    return network, (end(network, _body(network, x)),)


def _used_outside() -> tuple[SparseNetwork, tuple[str, ...]]:
    network, x = _entry()
    x = _body(network, x)
    return network, (network.mean(x), network.pool(x))


def _given_out() -> tuple[SparseNetwork, tuple[str, ...]]:
    network, x = _entry()
    x = _body(network, x)
    return network, (network.mean(x), x)


CASES: dict[str, Case] = {
    "plain": Case("sparse_weights", True, _plain),
    "no_zeros": Case("sparse_weights", False, lambda: _plain(zeros=0.0)),
    "zeros_72": Case("zero_share", True, lambda: _plain(zeros=0.72)),
    "zeros_60": Case("zero_share", False, lambda: _plain(zeros=0.60)),
    "pixels_64": Case("sparse_weights", True, lambda: _small(8)),
    "pixels_16": Case("sparse_weights", True, lambda: _small(4)),
    "pixels_9": Case("sparse_weights", True, lambda: _small(3)),
    "pixels_4": Case("sparse_weights", True, lambda: _small(2)),
    "pixels_1": Case("sparse_weights", True, lambda: _small(1)),
    "block_2": Case("block_kernels", True, lambda: _plain(block=2)),
    "block_4": Case("block_kernels", True, lambda: _plain(block=4)),
    "entry_1_channel": Case("entry", False, lambda: _plain(channels=1)),
    "entry_4_channels": Case("entry", False, lambda: _plain(channels=4)),
    "entry_same": Case("entry", False, lambda: _plain(padding=0)),
    "entry_stride_1": Case("entry", False, lambda: _plain(stride=1)),
    "entry_5x5": Case("entry", False, lambda: _plain(kernel=5, padding=2)),
    "depthwise_stride_2": Case(
        "depthwise",
        True,
        lambda: _with(lambda n, x: n.depthwise(n.pad(x), stride=2, padding=VALID)),
    ),
    "depthwise_same_2": Case(
        "depthwise", False, lambda: _with(lambda n, x: n.depthwise(x, stride=2))
    ),
    "depthwise_5x5": Case("depthwise", True, lambda: _with(lambda n, x: n.depthwise(x, 5))),
    "depthwise_7x7": Case("depthwise", False, lambda: _with(lambda n, x: n.depthwise(x, 7))),
    "depthwise_valid": Case(
        "depthwise", False, lambda: _with(lambda n, x: n.depthwise(x, padding=VALID))
    ),
    "depthwise_twice": Case(
        "depthwise", False, lambda: _with(lambda n, x: n.depthwise(x, multiplier=2))
    ),
    "depthwise_dilated": Case(
        "depthwise", False, lambda: _with(lambda n, x: n.depthwise(x, dilation=2))
    ),
    "pointwise_stride_2": Case(
        "convolution",
        False,
        lambda: _with(lambda n, x: n.convolution(x, WIDE, stride=2, zeros=ZEROS)),
    ),
    "inner_3x3": Case(
        "convolution", False, lambda: _with(lambda n, x: n.convolution(x, 16, 3, 1, SAME))
    ),
    "residual": Case(
        "binary",
        True,
        lambda: _with(lambda n, x: n.binary("ADD", n.convolution(x, WIDE, zeros=ZEROS), x)),
    ),
    "difference": Case(
        "binary",
        False,
        lambda: _with(lambda n, x: n.binary("SUB", n.convolution(x, WIDE, zeros=ZEROS), x)),
    ),
    "constant_second": Case(
        "binary", False, lambda: _with(lambda n, x: n.binary("MUL", x, n.channel_vector(x)))
    ),
    "hard_swish": Case("operator", True, lambda: _with(lambda n, x: n.unary("HARD_SWISH", x))),
    "prelu": Case("operator", False, lambda: _with(lambda n, x: n.prelu(x))),
    "max_pool": Case("operator", False, lambda: _with(lambda n, x: n.pool(x, "MAX_POOL_2D"))),
    "average_pool": Case("operator", False, lambda: _with(lambda n, x: n.pool(x))),
    "concatenation": Case("operator", False, lambda: _with(lambda n, x: n.concatenate(x, x))),
    "resize": Case("operator", True, lambda: _with(lambda n, x: n.resize(x))),
    "transposed_mean": Case(
        "operator", False, lambda: _tail(lambda n, x: n.mean(n.transpose(x, 0, 2, 1, 3)))
    ),
    "depth_to_space": Case("exit", True, lambda: _tail(lambda n, x: n.depth_to_space(x))),
    "no_exit": Case("exit", False, lambda: _tail(lambda n, x: x)),
    "used_outside": Case("used_outside", False, _used_outside),
    "given_out": Case("used_outside", False, _given_out),
    "sum": Case("exit", True, lambda: _tail(lambda n, x: n.mean(x, op="SUM"))),
    "kept_dimensions": Case("exit", True, lambda: _tail(lambda n, x: n.mean(x, keep=True))),
    "unary_behind": Case(
        "open_end", False, lambda: _tail(lambda n, x: n.flat(n.unary("TANH", n.mean(x, keep=True))))
    ),
    "pointwise_behind": Case(
        "open_end",
        False,
        lambda: _tail(lambda n, x: n.convolution(n.mean(x, keep=True), 200, zeros=ZEROS)),
    ),
    "squeeze_excite": Case("binary", True, lambda: _with(_squeezed)),
    "uncounted_head": Case("zero_share", True, lambda: _headed(0.0, 200, keep=False)),
    "counted_head": Case("zero_share", False, lambda: _headed(0.0, 200, keep=True)),
    "counted_sparse_head": Case("zero_share", True, lambda: _headed(0.9, 200, keep=True)),
}
