"""What is known not to export, and how to write it otherwise.

A cause is found by the nodes of the smallest part that is refused: operator, arguments and types.
What torch.export cannot capture has no nodes: see `tinyml.export.capture.known_exceptions`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch._ops import HigherOrderOperator, OpOverload
from torch.fx import Node
from torch.fx.experimental.symbolic_shapes import free_unbacked_symbols

from tinyml.export.capture.functional import WRITERS, name_of
from tinyml.export.capture.node_text import call_of

UNSUPPORTED = "replace the operator on that line by ones of torch.nn or torch.nn.functional"
_TO_NUMBER = ("item", "_local_scalar_dense")
_LOOPS = ("while_loop", "scan", "map_impl")
_RESIZES = ("resize", "resize_as", "set")
_ONLY_ONNX = ("max_unpool2d", "max_unpool3d")
_FRACTIONAL = ("fractional_max_pool2d", "fractional_max_pool3d")
_RANDOM = ("rand", "rand_like", "randn", "randn_like", "randint", "randint_like", "randperm")
_DRAWN = (*_RANDOM, "bernoulli", "multinomial", "normal", "uniform", "exponential")
_ORDER = ("sort", "argsort", "msort", "kthvalue", "median", "nanmedian", "mode", "quantile")
_WRITERS = (*WRITERS, "put")
_STANDARD = ("aten", "prim", "prims")  # namespaces of PyTorch's own operators


@dataclass(frozen=True, slots=True)
class KnownError:
    """``reason``: why a node is refused, as a sentence about it; empty: it is not this error."""

    reason: Callable[[Node], str]
    fix: str


@dataclass(frozen=True, slots=True)
class Cause:
    """The first node that is a known error."""

    node: Node
    reason: str
    fix: str


def find_cause(nodes: Collection[Node], among: Iterable[KnownError]) -> Cause | None:
    """The first of ``among`` that one of ``nodes`` is; ``None``: none is known."""
    for known in among:
        for node in nodes:
            if node.op == "call_function" and (reason := known.reason(node)):
                return Cause(node, reason, known.fix)
    return None


def _takes_number(node: Node) -> str:
    return _said(node, "takes a Python number out of a tensor", name_of(node.target) in _TO_NUMBER)


def _sizes_by_values(node: Node) -> str:
    free = any(free_unbacked_symbols(value) for value in _values(node))
    return _said(node, "gives a size that depends on values", free)


def _is_complex(node: Node) -> str:
    kinds = [value.dtype for value in (*_values(node), *_operands(node))]
    name = next((str(kind) for kind in kinds if kind.is_complex), "").removeprefix("torch.")
    return _said(node, f"computes with {name}", bool(name))


def _is_custom(node: Node) -> str:
    own = isinstance(node.target, OpOverload) and node.target.namespace not in _STANDARD
    return _said(node, "is a custom operator, which no format has", own)


def _resizes(node: Node) -> str:
    in_place = "_." in str(node.target) and name_of(node.target) in _RESIZES
    return _said(node, "changes the size of a tensor in place", in_place)


def _branches(node: Node) -> str:
    return _said(node, "is a branch inside the model", _higher_order(node) == "cond")


def _loops(node: Node) -> str:
    return _said(node, "is a loop inside the model", _higher_order(node) in _LOOPS)


def _orders(node: Node) -> str:
    return _said(node, "is not supported as it is called here", name_of(node.target) in _ORDER)


def _writes(node: Node) -> str:
    return _said(node, "is not supported as it is called here", name_of(node.target) in _WRITERS)


def _is_only_onnx(node: Node) -> str:
    return _said(node, "is not supported", name_of(node.target) in _ONLY_ONNX)


def _pools_at_random(node: Node) -> str:
    return _said(node, "draws its windows at random", name_of(node.target) in _FRACTIONAL)


def _draws(node: Node) -> str:
    return _said(node, "draws random numbers", name_of(node.target) in _DRAWN)


def _said(node: Node, what: str, holds: bool) -> str:
    return f"{call_of(node)} {what}" if holds else ""


def _higher_order(node: Node) -> str:
    return str(node.target) if isinstance(node.target, HigherOrderOperator) else ""


def _values(node: Node) -> list[Tensor]:
    value: Any = node.meta.get("val")
    several = value if isinstance(value, tuple | list) else (value,)
    return [own for own in several if isinstance(own, Tensor)]


def _operands(node: Node) -> list[Tensor]:
    if node.target is operator.getitem:
        return []
    return [value for source in node.all_input_nodes for value in _values(source)]


COMPLEX = KnownError(
    _is_complex,
    "take abs, real or imag of torch.stft, which becomes a convolution; write another transform as "
    "products with cosines and sines, and a complex weight as two real ones",
)
NUMBER = KnownError(
    _takes_number,
    "keep the value a tensor: without .item(), .tolist(), float() and int(); index_select and "
    "torch.where take tensors",
)
SIZE = KnownError(
    _sizes_by_values,
    "keep every size fixed: torch.where(mask, x, 0) instead of x[mask] or masked_select, and "
    "sums over masks instead of nonzero, unique or bincount",
)
BRANCH = KnownError(_branches, "compute both sides and choose with torch.where")
LOOP = KnownError(_loops, "write a Python loop with a fixed count")
ORDER = KnownError(
    _orders,
    "sort float32, int32 or int64, and take what you need from torch.sort(x, dim)",
)
WRITE = KnownError(
    _writes,
    "scatter with indices next to each other that copy, add, or keep the largest or smallest; "
    "a mask takes one value: torch.where(mask, value, x)",
)
ONLY_ONNX = KnownError(
    _is_only_onnx,
    "enlarge with nn.Upsample, or write ONNX only: `formats=onnx`",
)
RANDOM_WINDOWS = KnownError(
    _pools_at_random,
    "pool fixed windows: nn.AdaptiveMaxPool2d or nn.AdaptiveMaxPool3d of the same output size",
)
RANDOM = KnownError(
    _draws,
    "make them an input: what is drawn at random cannot be compared with PyTorch",
)
CUSTOM = KnownError(
    _is_custom,
    "write it with operators of torch: neither format carries a user's own",
)
RESIZE = KnownError(
    _resizes,
    "make a tensor of the new size; use nn.LocalResponseNorm instead of nn.CrossMapLRN2d",
)
# In this order: what takes a number or a size from values makes other nodes fail.
KNOWN_ERRORS = (
    CUSTOM,
    RESIZE,
    NUMBER,
    SIZE,
    COMPLEX,
    BRANCH,
    LOOP,
    ORDER,
    WRITE,
    ONLY_ONNX,
    RANDOM_WINDOWS,
    RANDOM,
)
