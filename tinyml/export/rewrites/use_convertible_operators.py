"""An operator that LiteRT's converter lacks -> the same in operators that it has.

For LiteRT's converter only: ONNX has these operators. `CONVERTIBLE` holds, for each, the same
computation in plain PyTorch:

- ``bilinear(a, b, w)``: a matrix times the products of all pairs;
- ``a // b`` of floats: ``floor(a / b)``, which is what ONNX computes too;
- ``one_hot(x, num_classes)``: a comparison with all classes;
- pooling of volumes: of their planes, then along the depth. A window's mean is the mean of the
  means of its rows, its maximum the largest of theirs;
- a transposed convolution of volumes: of their planes; ``fold`` too is a transposed convolution;
- a maximum over windows with gaps: the largest of shifted slices;
- a power of more than four axes: of one;
- a mean that leaves its padding out: the mean with it, by the share that is no padding;
- antialiased resizing: rows and columns by matrices, which are what it makes of an identity;
- resizing to the nearest by a factor that is not whole: rows and columns by their indices, since
  LiteRT's operator takes others than PyTorch.

Refused for integers, whose quotient is exact, for a mean with a divisor of its own, and for
whole factors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.fx import Graph, GraphModule, Node, map_arg
from torch.fx.experimental.proxy_tensor import disable_proxy_modes_tracing, make_fx
from torch.nn import functional as F
from torch.utils import _pytree as pytree

from tinyml.export.nodes import argument, shape_of, writer_in_module
from tinyml.export.outcome import Outcome
from tinyml.export.windows import Sizes, conv_transpose3d, dilated_max_pool, fold, three, two

_aten = torch.ops.aten
MOST_AXES = 4  # of a power in LiteRT


def use_convertible_operators(graph: Graph) -> Outcome:
    """Return the number of operators that are written otherwise now."""
    replaced = 0
    for node in list(graph.nodes):
        simpler = CONVERTIBLE.get(node.target)
        if simpler is None or not _is_convertible(node):
            continue
        _replace(node, _traced(simpler, node))
        replaced += 1
    return Outcome(replaced)


def _is_convertible(node: Node) -> bool:
    if node.target in _QUOTIENTS:
        floats = bool(node.meta["val"].dtype.is_floating_point)
        return floats and node.kwargs.get("rounding_mode", "floor") == "floor"
    if node.target is _aten.one_hot.default:
        return bool(argument(node, 1, "num_classes", -1) > 0)
    if node.target is _aten.upsample_nearest2d.vec:
        sizes = zip(shape_of(node.args[0])[2:], shape_of(node)[2:], strict=True)
        return any(after % before for before, after in sizes)
    if node.target is _aten.avg_pool2d.default:
        counted = argument(node, 5, "count_include_pad", True)
        padded = any(two(argument(node, 3, "padding", 0)))
        return not counted and padded and argument(node, 6, "divisor_override", None) is None
    if node.target is _aten.max_pool2d.default:
        return any(gap > 1 for gap in two(argument(node, 4, "dilation", 1)))
    if node.target is _aten.pow.Tensor_Scalar:
        return len(shape_of(node)) > MOST_AXES
    divisor = argument(node, 6, "divisor_override", None)
    return node.target is not _aten.avg_pool3d.default or divisor is None


def _traced(simpler: Callable[..., Tensor], node: Node) -> GraphModule:
    """``simpler`` with the arguments of ``node``: a graph whose inputs are its operands."""
    flat, structure = pytree.tree_flatten((node.args, node.kwargs))
    places = [place for place, value in enumerate(flat) if isinstance(value, Node)]
    values = [flat[place].meta["val"] for place in places]

    def run(*given: Tensor) -> Tensor:
        filled = list(flat)
        for place, value in zip(places, given, strict=True):
            filled[place] = value
        args, kwargs = pytree.tree_unflatten(filled, structure)
        return simpler(*args, **kwargs)

    zeros = [torch.zeros(tuple(value.shape), dtype=value.dtype) for value in values]
    return make_fx(run)(*zeros)


def _replace(node: Node, traced: GraphModule) -> None:
    """Write what was ``traced`` in front of ``node``, whose place and name its result takes."""
    flat = pytree.tree_leaves((node.args, node.kwargs))
    operands = iter([value for value in flat if isinstance(value, Node)])
    write = writer_in_module(node)
    made: dict[Node, Node] = {}
    for own in traced.graph.nodes:
        if own.op == "placeholder":
            made[own] = next(operands)
        elif own.op == "get_attr":
            made[own] = write.constant(getattr(traced, own.target))
        elif own.op == "call_function":
            args, kwargs = map_arg((own.args, own.kwargs), made.__getitem__)
            made[own] = write.call(own.target, *args, **kwargs)
        else:
            assert own.op == "output", f"{own.op} in what replaces {node}"
            write.replace(made[own.args[0]])


def _bilinear(first: Tensor, second: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """A matrix, of weight ``[out, in1, in2]``, times all products of two values."""
    products = (first.unsqueeze(-1) * second.unsqueeze(-2)).flatten(-2)
    return F.linear(products, weight.flatten(1), bias)


def _power(x: Tensor, exponent: float) -> Tensor:
    return torch.pow(x.flatten(), exponent).reshape(x.shape)


def _floor_divide(a: Tensor, b: Tensor | float, *, rounding_mode: str = "floor") -> Tensor:
    return torch.floor(a / b)


def _one_hot(x: Tensor, num_classes: int) -> Tensor:
    return (x.unsqueeze(-1) == torch.arange(num_classes)).long()


def _nearest(x: Tensor, size: Sizes | None, factors: Sequence[float] | None) -> Tensor:
    """``[N, C, H, W]``, as PyTorch's kernel: ``floor(i * step)`` in float32."""
    for axis in (2, 3):
        length = x.shape[axis]
        if factors is None:
            assert isinstance(size, Sequence)
            count, step = size[axis - 2], length / size[axis - 2]
        else:
            count, step = int(length * factors[axis - 2]), 1.0 / factors[axis - 2]
        places = (torch.arange(count, dtype=torch.float32) * step).to(torch.int64)
        x = x.index_select(axis, places.clamp(max=length - 1))
    return x


def _average_pool(
    x: Tensor,
    kernel: Sizes,
    stride: Sizes = (),
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: None = None,
) -> Tensor:
    pool = F.avg_pool2d if count_include_pad else _average_of_values
    return _by_planes(
        x,
        lambda plane, axes: pool(
            plane, axes(kernel), axes(stride or kernel), axes(padding, 0), ceil_mode
        ),
    )


def _average_of_values(
    x: Tensor,
    kernel: Sizes,
    stride: Sizes = (),
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = False,
) -> Tensor:
    """``[..., H, W]``: means over windows, by the share of each that is no padding."""

    def pool(values: Tensor) -> Tensor:
        return F.avg_pool2d(values, two(kernel), two(stride or kernel), two(padding), ceil_mode)

    return pool(x) / pool(torch.ones((1, 1, *x.shape[-2:]) if x.ndim == 4 else (1, *x.shape[-2:])))


def _max_pool(
    x: Tensor,
    kernel: Sizes,
    stride: Sizes = (),
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
) -> Tensor:
    pool = dilated_max_pool if any(gap > 1 for gap in three(dilation)) else F.max_pool2d
    return _by_planes(
        x,
        lambda plane, axes: pool(
            plane,
            axes(kernel),
            axes(stride or kernel),
            axes(padding, 0),
            axes(dilation),
            ceil_mode,
        ),
    )


def _by_planes(x: Tensor, pool: Callable[[Tensor, Callable[..., list[int]]], Tensor]) -> Tensor:
    """``pool`` height and width of ``x``, ``[..., D, H, W]``, then its depth."""

    def plane(sizes: Sizes, _: int = 1) -> list[int]:
        return three(sizes)[1:]

    def depth(sizes: Sizes, idle: int = 1) -> list[int]:
        return [three(sizes)[0], idle]

    *lead, deep, high, wide = x.shape
    planes = pool(x.reshape(1, -1, high, wide), plane)
    high, wide = planes.shape[2:]
    columns = pool(planes.reshape(1, -1, deep, high * wide), depth)
    return columns.reshape(*lead, -1, high, wide)


def _antialiased(
    resize: Callable[..., Tensor],
    x: Tensor,
    size: Sequence[int] | None,
    align_corners: bool,
    factors: Sequence[float] | None = None,
) -> Tensor:
    """``[N, C, H, W]``: by ``resize``, which is linear in the values of each axis."""

    def matrix(axis: int) -> Tensor:
        """``[after, before]``."""
        length = x.shape[2 + axis]
        sizes = None if size is None else [size[axis], length]
        with disable_proxy_modes_tracing():
            one = torch.eye(length)[None, None]
            by = None if factors is None else [factors[axis], 1.0]
            return resize(one, sizes, align_corners, by)[0, 0]

    wide = F.linear(x, matrix(1)).transpose(2, 3)
    return F.linear(wide, matrix(0)).transpose(2, 3)


_QUOTIENTS = (
    _aten.floor_divide.default,
    _aten.div.Tensor_mode,
    _aten.div.Scalar_mode,
)
_ANTIALIASED = (_aten._upsample_bilinear2d_aa.vec, _aten._upsample_bicubic2d_aa.vec)
CONVERTIBLE: Mapping[Any, Callable[..., Tensor]] = {
    _aten.bilinear.default: _bilinear,
    **dict.fromkeys(_QUOTIENTS, _floor_divide),
    _aten.one_hot.default: _one_hot,
    _aten.avg_pool2d.default: _average_of_values,
    _aten.avg_pool3d.default: _average_pool,
    _aten.max_pool2d.default: dilated_max_pool,
    _aten.max_pool3d.default: _max_pool,
    _aten.conv_transpose3d.input: conv_transpose3d,
    _aten.col2im.default: fold,
    _aten.pow.Tensor_Scalar: _power,
    _aten.upsample_nearest2d.vec: _nearest,
    **{resize: partial(_antialiased, resize) for resize in _ANTIALIASED},
}
