"""``scatter(x, places, values)`` and its family -> comparisons of the places, and a selection.

LiteRT's converter writes a scatter as an operator with a function of its own. What falls on place
``n`` of ``x`` is, with ``hit[n, m] = places[m] == n``:

- added values: ``x[n] + sum over m of hit[n, m] values[m]``, a product of matrices;
- one value for all places: ``where(any over m of hit[n, m], value, x[n])``;
- copied values: ``where(last[n], values[last[n]], x[n])``, where the last ``m`` that hits counts,
  as in PyTorch on a CPU;
- the largest or smallest: ``max(x[n], max over m of hit[n, m] values[m])``.

Constant places are compared here and not on the board. Refused where places and values are more
than `tinyml.export.scatters.MOST` comparisons, for indices that are not next to each other, for
means and products, and for places of a part of the other axes. Values that are added must be
finite.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.fx import Graph, Node

from tinyml.export.nodes import Writer, fixed_value, shape_of, writer_in_module
from tinyml.export.outcome import Outcome
from tinyml.export.scatters import SCATTERS, Scatter, read_scatter

_aten = torch.ops.aten


def scatter_by_comparison(graph: Graph) -> Outcome:
    """Replace scatters."""
    replaced, refused = 0, {}
    for node in list(graph.nodes):
        if node.target not in SCATTERS:
            continue
        if _replace(writer_in_module(node), node):
            replaced += 1
        else:
            refused[node.name] = "no comparison of its indices stands for it"
    return Outcome(replaced, refused)


def _replace(write: Writer, node: Node) -> bool:
    found = read_scatter(write, node)
    if found is None:
        return False
    how = _adding if found.how == "sum" else _extreme if found.how in _EXTREME else _copying
    rows = how(write, found)
    write.replace(found.restore(write, rows))
    return True


@dataclass(frozen=True, slots=True)
class _Hits:
    """Which value falls on which place, as constants or as nodes: [B, N, M]."""

    node: Node
    fixed: Tensor | None


def _hits(write: Writer, found: Scatter) -> _Hits:
    blocks, count, many = found.sizes
    every = torch.arange(count).view(1, count, 1)
    fixed = fixed_value(found.places)
    if fixed is not None:
        hits = fixed.view(blocks, 1, many) == every
        return _Hits(write.constant(hits), hits)
    places = write.call(_aten.view.default, found.places, [blocks, 1, many])
    if found.places.meta["val"].dtype != torch.int64:
        every = every.to(found.places.meta["val"].dtype)
    return _Hits(write.call(_aten.eq.Tensor, places, write.constant(every)), None)


def _adding(write: Writer, found: Scatter) -> Node:
    hits, dtype = _hits(write, found), found.values.meta["val"].dtype
    if not dtype.is_floating_point:
        return write.call(_aten.add.Tensor, found.rows, _summed(write, found, hits.node))
    if hits.fixed is not None:
        product = write.constant(hits.fixed.to(dtype))
    else:
        product = write.call(_aten.to.dtype, hits.node, dtype)
    added = write.call(_aten.matmul.default, product, found.values)
    return write.call(_aten.add.Tensor, found.rows, added)


def _summed(write: Writer, found: Scatter, hits: Node) -> Node:
    """Exact for integers, of which there is no product of matrices."""
    chosen = _spread(write, found, hits, 0)
    return write.call(_aten.sum.dim_IntList, chosen, [2])


_EXTREME = {
    "amax": (-math.inf, _aten.amax.default, _aten.maximum.default),
    "amin": (math.inf, _aten.amin.default, _aten.minimum.default),
}


def _extreme(write: Writer, found: Scatter) -> Node:
    neutral, reduce, combine = _EXTREME[found.how]
    chosen = _spread(write, found, _hits(write, found).node, neutral)
    return write.call(combine, found.rows, write.call(reduce, chosen, [2]))


def _spread(write: Writer, found: Scatter, hits: Node, neutral: float) -> Node:
    """The values where they fall, ``neutral`` elsewhere: [B, N, M, R]."""
    blocks, _, many = found.sizes
    width = shape_of(found.values)[-1]
    values = write.call(_aten.view.default, found.values, [blocks, 1, many, width])
    other = write.constant(torch.tensor(neutral, dtype=found.values.meta["val"].dtype))
    return write.call(
        _aten.where.self, write.call(_aten.unsqueeze.default, hits, -1), values, other
    )


def _copying(write: Writer, found: Scatter) -> Node:
    hits = _hits(write, found)
    if found.how == "fill":
        any_hit = _any(write, hits)
        return write.call(_aten.where.self, any_hit, found.values, found.rows)
    blocks, count, many = found.sizes
    order = torch.arange(1, many + 1).view(1, 1, many)
    if hits.fixed is not None:
        last = (hits.fixed * order).amax(-1)  # one past the value that counts, 0: none
        source = write.constant(_sources(last, many))
    else:
        numbers = write.call(_aten.to.dtype, hits.node, torch.int64)
        ranked = write.call(_aten.mul.Tensor, numbers, write.constant(order))
        source = _computed_sources(write, write.call(_aten.amax.default, ranked, [-1]), found)
    width = shape_of(found.values)[-1]
    flat = write.call(_aten.view.default, found.values, [blocks * many, width])
    chosen = write.call(_aten.index_select.default, flat, 0, source)
    chosen = write.call(_aten.view.default, chosen, [blocks, count, width])
    return write.call(_aten.where.self, _any(write, hits), chosen, found.rows)


def _any(write: Writer, hits: _Hits) -> Node:
    if hits.fixed is not None:
        return write.constant(hits.fixed.any(-1, keepdim=True))
    return write.call(_aten.any.dim, hits.node, -1, True)


def _sources(last: Tensor, many: int) -> Tensor:
    """Rows of all values, flat; the first where none counts."""
    starts = many * torch.arange(len(last)).view(-1, 1)
    return ((last - 1).clamp(min=0) + starts).flatten()


def _computed_sources(write: Writer, last: Node, found: Scatter) -> Node:
    blocks, count, many = found.sizes
    source: Any = write.call(_aten.clamp.default, write.call(_aten.sub.Tensor, last, 1), 0)
    if blocks > 1:
        starts = write.constant(many * torch.arange(blocks).view(-1, 1))
        source = write.call(_aten.add.Tensor, source, starts)
    return write.call(_aten.view.default, source, [blocks * count])
