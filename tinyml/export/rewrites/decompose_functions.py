"""A function that a converter lacks -> the same in operators that it has.

PyTorch's own list of decompositions has no form of these that both converters take:

- ``cumprod``, ``cummax``, ``cummin``, ``logcumsumexp``: a scan that doubles its reach each time;
- ``kthvalue``, ``median`` along an axis: the last of a topk; ``quantile``: two places of a sort;
- ``hypot``: the root of the sum of squares;
- adaptive poolings of volumes: plain ones, or where windows differ of each, axis by axis;
- for ONNX ``lstm`` with a projection, which its operator lacks: PyTorch's own steps;
- ``embedding_bag``: the rows of the table, then the sum, mean or maximum of each bag;
- for ONNX ``cdist``: a norm of all differences; for LiteRT ``bucketize`` and ``searchsorted``: the
  count of the boundaries below a number.

A program without these stays as it is. Refused for a quantile whose share is a tensor, for a
median of all values, for a search in an order of its own, and where the places of maxima are read.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor
from torch._decomp.decompositions import lstm_impl
from torch.export import ExportedProgram
from torch.fx import Node
from torch.nn import functional as F

from tinyml.export.capture.functional import functional
from tinyml.export.nodes import shape_of
from tinyml.export.rewrites.average_by_matrix import windows

_aten = torch.ops.aten
Table = Mapping[Any, Callable[..., Any]]
# Modes of an `nn.EmbeddingBag`; the other is a sum.
MEAN, MAXIMUM = 1, 2
FIRST_ALONE = (
    _aten.adaptive_max_pool3d.default,
    _aten.embedding_bag.default,
    _aten.embedding_bag.padding_idx,
)


def decompose_functions(program: ExportedProgram, table: Table) -> ExportedProgram:
    """``program`` without the functions of ``table``: itself where it calls none of them."""
    calls = [node for node in program.graph.nodes if node.op == "call_function"]
    kept = {node.target for node in calls if _reads_places(node)}
    called = {node.target for node in calls if _is_lacking(node)} - kept
    found = {target: table[target] for target in called & table.keys()}
    return functional(program, found) if found else program


def _is_lacking(node: Node) -> bool:
    """False for an LSTM without a projection: its state is as long as its memory."""
    if node.target is not _aten.lstm.input:
        return True
    state, memory = cast(Sequence[Node], node.args[1])
    return shape_of(state) != shape_of(memory)


def _reads_places(node: Node) -> bool:
    """Whether more is read than the first of several results, which alone is computed here."""
    return node.target in FIRST_ALONE and any(
        user.users and user.args[1] != 0 for user in node.users
    )


def _scan(combine: Callable[[Any, Any], Any], values: Any, dim: int) -> Any:
    """``out[i] = combine(... combine(values[0], values[1]) ..., values[i])`` along ``dim``.

    Log2 of the length many steps: step n combines each with the one 2**n places before it.
    ``combine`` is associative and takes what comes first as its first operand.
    """
    first = values[0] if isinstance(values, tuple) else values
    length, reach = (first.shape[dim] if first.ndim else 1), 1
    while reach < length:
        before = _each(lambda x: x.narrow(dim, 0, length - reach), values)  # noqa: B023
        after = _each(lambda x: x.narrow(dim, reach, length - reach), values)  # noqa: B023
        kept = _each(lambda x: x.narrow(dim, 0, reach), values)  # noqa: B023
        made = combine(before, after)
        values = _each(lambda a, b: torch.cat([a, b], dim), kept, made)
        reach *= 2
    return values


def _each(apply: Callable[..., Tensor], *values: Any) -> Any:
    if isinstance(values[0], tuple):
        return tuple(apply(*own) for own in zip(*values, strict=True))
    return apply(*values)


def _cumprod(x: Tensor, dim: int, *, dtype: torch.dtype | None = None) -> Tensor:
    wide = torch.int64 if not x.is_floating_point() else x.dtype
    made: Tensor = _scan(operator.mul, x.to(dtype or wide), dim)
    return made


def _logcumsumexp(x: Tensor, dim: int) -> Tensor:
    def combine(a: Tensor, b: Tensor) -> Tensor:
        return torch.maximum(a, b) + torch.log1p(torch.exp(-(a - b).abs()))

    made: Tensor = _scan(combine, x, dim)
    return made


def _cumulated(
    better: Callable[[Tensor, Tensor], Tensor], x: Tensor, dim: int
) -> tuple[Tensor, Tensor]:
    """Values and their places: of equal ones the last."""
    shape = [1] * x.ndim
    if x.ndim:
        shape[dim] = x.shape[dim]
    places = torch.arange(math.prod(shape)).reshape(shape).expand(x.shape)

    def combine(a: tuple[Tensor, Tensor], b: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        later = better(b[0], a[0])
        return torch.where(later, b[0], a[0]), torch.where(later, b[1], a[1])

    values, found = _scan(combine, (x, places), dim)
    return values, found


def _kthvalue(x: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    values, places = torch.topk(x, k, dim, largest=False)
    values, places = (own.narrow(dim, k - 1, 1) for own in (values, places))
    return (values, places) if keepdim else (values.squeeze(dim), places.squeeze(dim))


def _median(x: Tensor, dim: int, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    """The lower of the two in the middle."""
    return _kthvalue(x, (x.shape[dim] + 1) // 2, dim, keepdim)


def _quantile(
    x: Tensor,
    q: float,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    interpolation: str = "linear",
) -> Tensor:
    axis = 0 if dim is None else dim
    ordered = (x.flatten() if dim is None else x).sort(axis).values
    rank = q * (ordered.shape[axis] - 1)
    below, above = math.floor(rank), math.ceil(rank)
    share = {
        "linear": rank - below,
        "lower": 0.0,
        "higher": 1.0,
        "midpoint": 0.5,
        "nearest": float(round(rank) > below),
    }[interpolation]
    low, high = (ordered.narrow(axis, place, 1) for place in (below, above))
    found = low if share == 0.0 else low + (high - low) * share
    if dim is None:
        return found.reshape([1] * x.ndim if keepdim else [])
    return found if keepdim else found.squeeze(axis)


def _hypot(a: Tensor, b: Tensor) -> Tensor:
    return torch.sqrt(a * a + b * b)


def _average_pool(x: Tensor, size: Sequence[int]) -> Tensor:
    return _pool(x, size, torch.mean, F.avg_pool3d)


def _max_pool(x: Tensor, size: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Nothing reads the places: there are none here."""
    largest = _pool(x, size, torch.amax, F.max_pool3d)
    return largest, torch.zeros_like(largest, dtype=torch.int64)


def _pool(
    x: Tensor, size: Sequence[int], of: Callable[..., Tensor], plain: Callable[..., Tensor]
) -> Tensor:
    """``plain`` with windows that are equal, else ``of`` each, one axis after the other."""
    lengths = x.shape[-3:]
    if not any(length % own for length, own in zip(lengths, size, strict=True)):
        return plain(x, [length // own for length, own in zip(lengths, size, strict=True)])
    for axis, (length, own) in zip((-3, -2, -1), zip(lengths, size, strict=True), strict=True):
        parts = [x.narrow(axis, first, end - first) for first, end in windows(length, own)]
        x = torch.cat([of(part, axis, keepdim=True) for part in parts], axis)
    return x


def _embedding_bag(
    weight: Tensor,
    indices: Tensor,
    offsets: Tensor,
    scale_grad_by_freq: bool = False,
    mode: int = 0,
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> tuple[Tensor, ...]:
    """The bags, ``[B, D]``, of ``indices``, ``[n]``; nothing reads what else is returned.

    ``mode``: 0 sum, 1 mean, 2 maximum. The first offset is 0: one bag without padding is all.
    """
    rows = F.embedding(indices, weight)
    if per_sample_weights is not None:
        rows = rows * per_sample_weights.unsqueeze(-1)
    if len(offsets) == 1 and padding_idx is None:
        whole = (torch.sum, torch.mean, torch.amax)[mode](rows, 0, keepdim=True)
        return whole, indices, offsets, offsets
    inside = _of_bags(offsets, indices, include_last_offset)
    if padding_idx is not None:
        inside = inside & (indices != padding_idx)
    count = inside.sum(1, keepdim=True)
    if mode == MAXIMUM:
        largest = torch.where(inside.unsqueeze(-1), rows, -math.inf).amax(1)
        bags = torch.where(count > 0, largest, 0.0)
    else:
        bags = inside.to(rows.dtype) @ rows
        bags = bags / count.clamp(min=1) if mode == MEAN else bags
    return bags, indices, offsets, offsets


def _of_bags(offsets: Tensor, indices: Tensor, include_last_offset: bool) -> Tensor:
    """``[B, n]``: whether a bag has an index; the last offset may be an end alone."""
    places, starts = torch.arange(len(indices)), offsets.unsqueeze(-1)
    behind = places >= starts
    if include_last_offset:
        return behind[:-1] & ~behind[1:]
    return behind & ~torch.cat([behind[1:], behind[:1] & False])


def _cdist(a: Tensor, b: Tensor, p: float = 2.0, compute_mode: int | None = None) -> Tensor:
    far: Tensor = torch.linalg.vector_norm(a.unsqueeze(-2) - b.unsqueeze(-3), p, -1)
    return far


def _bucketize(
    x: Tensor, boundaries: Tensor, *, out_int32: bool = False, right: bool = False
) -> Tensor:
    """``right``: a number that is a boundary is behind it."""
    behind = torch.ge if right else torch.gt
    count = behind(x.unsqueeze(-1), boundaries).sum(-1)
    return count.to(torch.int32) if out_int32 else count


def _searchsorted(
    boundaries: Tensor,
    x: Tensor,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
) -> Tensor:
    own = boundaries if boundaries.ndim == 1 else boundaries.unsqueeze(-2)
    return _bucketize(x, own, out_int32=out_int32, right=right or side == "right")


DECOMPOSED: Table = {
    _aten.cumprod.default: _cumprod,
    _aten.logcumsumexp.default: _logcumsumexp,
    _aten.cummax.default: partial(_cumulated, torch.ge),
    _aten.cummin.default: partial(_cumulated, torch.le),
    _aten.kthvalue.default: _kthvalue,
    _aten.median.dim: _median,
    _aten.quantile.scalar: _quantile,
    _aten.hypot.default: _hypot,
    _aten.adaptive_avg_pool3d.default: _average_pool,
    _aten.embedding_bag.default: _embedding_bag,
    _aten.embedding_bag.padding_idx: _embedding_bag,
}
FOR_ONNX: Table = {
    **DECOMPOSED,
    _aten.lstm.input: lstm_impl,
    _aten.cdist.default: _cdist,
}
FOR_LITERT: Table = {
    **DECOMPOSED,
    _aten.adaptive_max_pool3d.default: _max_pool,
    _aten.bucketize.Tensor: _bucketize,
    _aten.searchsorted.Tensor: _searchsorted,
}
