"""Rows outside of torch.nn: functions of tensors, indexing, resizing."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from operators.row import FRAMES, IMAGE, VECTOR, Row

MATHS = "Functions of values"
REDUCTIONS = "Reductions, order, products"
PLACES = "Shapes, places and indexing"
SAMPLING = "Resizing and sampling functions"


class Function(nn.Module):
    """A function as a layer."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def _rows(
    group: str, shape: tuple[int, ...], table: dict[str, Callable[[Tensor], Tensor]]
) -> tuple[Row, ...]:
    def layer(function: Callable[[Tensor], Tensor]) -> Callable[[], nn.Module]:
        return lambda: Function(function)

    return tuple(Row(name, group, layer(function), shape) for name, function in table.items())


def _grid_sample(x: Tensor) -> Tensor:
    theta = torch.tensor([[[0.8, 0.2, 0.1], [-0.2, 0.9, 0.0]]])
    return F.grid_sample(x, F.affine_grid(theta, [1, 4, 7, 8], False), align_corners=False)


def _grid_of_values(x: Tensor) -> Tensor:
    return F.grid_sample(x, torch.tanh(x[:, :2]).permute(0, 2, 3, 1), align_corners=False)


def _boolean_assignment(x: Tensor) -> Tensor:
    y = x.clone()
    y[y > 0.1] = 0.5
    return y


def _index_put(x: Tensor) -> Tensor:
    y = x.clone()
    y[:, [1, 3]] = x[:, [0, 2]] * 2
    return y


def _slice_assignment(x: Tensor) -> Tensor:
    y = x.clone()
    y[:, 2:4] = 0.0
    return y


def _attention(x: Tensor) -> Tensor:
    parts = x.reshape(1, 6, 2, 8).transpose(1, 2)
    return F.scaled_dot_product_attention(parts, parts * 0.5, parts + 0.1, is_causal=True)


def _places(x: Tensor) -> Tensor:
    """[1, 16] of a vector -> indices below 16."""
    return (x.abs() * 8).long().clamp(0, 15)


def _spectrum(x: Tensor) -> Tensor:
    return torch.view_as_real(torch.fft.rfft(x)).flatten(1)


def _stft(x: Tensor) -> Tensor:
    window = torch.hann_window(8)
    found = torch.stft(x, 8, 4, window=window, center=False, return_complex=True)
    return found.abs()


ROWS: tuple[Row, ...] = (
    *_rows(
        MATHS,
        IMAGE,
        {
            "torch.abs": torch.abs,
            "torch.neg": torch.neg,
            "torch.sign": torch.sign,
            "torch.exp": torch.exp,
            "torch.expm1": torch.expm1,
            "torch.log": lambda x: torch.log(x.abs() + 0.1),
            "torch.log1p": lambda x: torch.log1p(x.abs()),
            "torch.log2": lambda x: torch.log2(x.abs() + 0.1),
            "torch.log10": lambda x: torch.log10(x.abs() + 0.1),
            "torch.sqrt": lambda x: torch.sqrt(x.abs() + 0.1),
            "torch.rsqrt": lambda x: torch.rsqrt(x.abs() + 0.1),
            "torch.reciprocal": lambda x: torch.reciprocal(x.abs() + 0.5),
            "torch.square": torch.square,
            "torch.pow (2.5)": lambda x: torch.pow(x.abs() + 0.1, 2.5),
            "torch.pow (of a tensor)": lambda x: torch.pow(x.abs() + 0.1, x),
            "torch.sin": torch.sin,
            "torch.cos": torch.cos,
            "torch.tan": lambda x: torch.tan(0.5 * x),
            "torch.atan": torch.atan,
            "torch.atan2": lambda x: torch.atan2(x, x.abs() + 0.5),
            "torch.asin": lambda x: torch.asin(torch.tanh(x) * 0.9),
            "torch.sinh": torch.sinh,
            "torch.cosh": torch.cosh,
            "torch.erf": torch.erf,
            "torch.floor": lambda x: torch.floor(4 * x),
            "torch.ceil": lambda x: torch.ceil(4 * x),
            "torch.round": lambda x: torch.round(4 * x),
            "torch.trunc": lambda x: torch.trunc(4 * x),
            "torch.frac": lambda x: torch.frac(4 * x),
            "torch.remainder": lambda x: torch.remainder(4 * x, 3),
            "torch.fmod": lambda x: torch.fmod(4 * x, 3),
            "torch.div": lambda x: x / (x.abs() + 0.5),
            "torch.floor_divide": lambda x: torch.floor_divide(4 * x, 3),
            "torch.floor_divide (by a tensor)": lambda x: torch.floor_divide(8 * x, x.abs() + 0.5),
            "torch.clamp": lambda x: torch.clamp(x, -0.3, 0.4),
            "torch.clamp (of tensors)": lambda x: torch.clamp(x, -x.abs() / 2, x.abs() * 0 + 0.3),
            "torch.maximum": lambda x: torch.maximum(x, -0.5 * x),
            "torch.minimum": lambda x: torch.minimum(x, -0.5 * x),
            "torch.where": lambda x: torch.where(x > 0.1, x, 0.2 * x),
            "torch.masked_fill": lambda x: x.masked_fill(x > 0.1, 0.7),
            "torch.lerp": lambda x: torch.lerp(x, x * x, 0.3),
            "torch.addcmul": lambda x: torch.addcmul(x, x, x, value=0.5),
            "torch.hypot": lambda x: torch.hypot(x, x + 1),
            "torch.nan_to_num": torch.nan_to_num,
            "torch.logical_and": lambda x: torch.logical_and(x > -0.2, x < 0.3).float(),
            "torch.isfinite": lambda x: x * torch.isfinite(x).float(),
            "torch.heaviside": lambda x: torch.heaviside(x, torch.tensor(0.5)),
        },
    ),
    *_rows(
        REDUCTIONS,
        FRAMES,
        {
            "torch.sum": lambda x: x.sum(1),
            "torch.mean": lambda x: x.mean((1, 2), keepdim=True),
            "torch.prod": lambda x: (x + 1).prod(1),
            "torch.var": lambda x: x.var(1),
            "torch.std": lambda x: x.std(1),
            "torch.norm": lambda x: x.norm(dim=1),
            "torch.logsumexp": lambda x: x.logsumexp(1),
            "torch.amax": lambda x: x.amax(1),
            "torch.max (dim)": lambda x: x.max(1).values,
            "torch.argmax": lambda x: x.argmax(2).float(),
            "torch.any": lambda x: (x > 0.5).any(1).float(),
            "torch.cumsum": lambda x: x.cumsum(1),
            "torch.cumprod": lambda x: (x + 1).cumprod(1),
            "torch.cummax": lambda x: x.cummax(1).values,
            "torch.logcumsumexp": lambda x: x.logcumsumexp(1),
            "torch.sort": lambda x: x.sort(2).values,
            "torch.argsort": lambda x: x.argsort(2).float(),
            "torch.topk": lambda x: x.topk(3, 2).values,
            "torch.topk (indices)": lambda x: x.topk(3, 2).indices.float(),
            "torch.kthvalue": lambda x: x.kthvalue(3, 2).values,
            "torch.median": lambda x: x.median(2).values,
            "torch.quantile": lambda x: x.quantile(0.3, 2),
            "torch.matmul": lambda x: x @ x.transpose(1, 2),
            "torch.bmm": lambda x: torch.bmm(x, x.transpose(1, 2)),
            "torch.einsum": lambda x: torch.einsum("bik,bjk->bij", x, x * 0.5),
            "torch.cdist": lambda x: torch.cdist(x, x * 0.5 + 1),
            "torch.cross": lambda x: torch.cross(x[..., :3], x[..., 3:6], dim=-1),
            "F.normalize": lambda x: F.normalize(x, dim=2),
            "F.scaled_dot_product_attention": _attention,
        },
    ),
    *_rows(
        PLACES,
        FRAMES,
        {
            "torch.flip": lambda x: torch.flip(x, [1, 2]),
            "torch.roll": lambda x: torch.roll(x, (2, -3), (1, 2)),
            "torch.rot90": lambda x: torch.rot90(x, 1, (1, 2)),
            "torch.cat": lambda x: torch.cat([x, x * 2], 2),
            "torch.stack": lambda x: torch.stack([x, x * 2], 1),
            "torch.chunk": lambda x: torch.chunk(x, 2, 2)[1],
            "torch.split": lambda x: torch.split(x, [3, 13], 2)[1],
            "torch.unbind": lambda x: torch.unbind(x, 1)[2],
            "Tensor.expand": lambda x: x[:, :1].expand(1, 5, 16) + 1,
            "Tensor.repeat": lambda x: x.repeat(1, 2, 1),
            "torch.repeat_interleave": lambda x: x.repeat_interleave(2, 1),
            "Tensor.permute": lambda x: x.permute(2, 0, 1),
            "Tensor.unfold": lambda x: x.unfold(2, 4, 2),
            "strided slice": lambda x: x[:, ::2, 1::3],
            "torch.triu": lambda x: torch.triu(x),
            "torch.tril": lambda x: torch.tril(x),
            "torch.diagonal": lambda x: torch.diagonal(x, 0, 1, 2),
            "torch.index_select": lambda x: x.index_select(2, torch.tensor([3, 1, 7])),
            "indexing by a list": lambda x: x[:, :, [3, 1, 7]],
            "boolean indexing": lambda x: x[x > 0.1].sum()[None],
            "boolean indexing (fixed mask)": lambda x: x[:, torch.tensor([True, False] * 3)],
            "boolean assignment": _boolean_assignment,
            "slice assignment": _slice_assignment,
            "index_put": _index_put,
            "torch.masked_select": lambda x: torch.masked_select(x, x > 0).sum()[None],
            "torch.masked_scatter": lambda x: x.masked_scatter(x > 0, x * 0.5),
            "torch.nonzero": lambda x: torch.nonzero(x > 0).float().sum(0),
        },
    ),
    *_rows(
        PLACES,
        VECTOR,
        {
            "torch.gather": lambda x: x.gather(1, _places(x)),
            "torch.take_along_dim": lambda x: x.take_along_dim(_places(x), 1),
            "torch.scatter": lambda x: torch.zeros(1, 16).scatter(1, _places(x), 0.5),
            "torch.scatter_add": lambda x: torch.zeros(1, 16).scatter_add(1, _places(x), x),
            "torch.index_add": lambda x: x.index_add(1, torch.tensor([1, 5]), x[:, :2]),
            "F.one_hot": lambda x: F.one_hot(_places(x), 16).float(),
            "torch.bucketize": lambda x: torch.bucketize(x, torch.tensor([-0.5, 0.0, 0.5])).float(),
            "torch.fft.rfft": _spectrum,
            "torch.stft": _stft,
        },
    ),
    *_rows(
        SAMPLING,
        IMAGE,
        {
            "F.grid_sample": _grid_sample,
            "F.grid_sample (grid of values)": _grid_of_values,
            "F.interpolate (nearest-exact)": lambda x: F.interpolate(
                x, (7, 15), mode="nearest-exact"
            ),
            "F.interpolate (area)": lambda x: F.interpolate(x, (5, 5), mode="area"),
            "F.interpolate (antialias)": lambda x: F.interpolate(
                x, (6, 7), mode="bilinear", antialias=True
            ),
            "F.interpolate (bicubic, antialias)": lambda x: F.interpolate(
                x, (6, 7), mode="bicubic", antialias=True
            ),
            "F.pad (reflect)": lambda x: F.pad(x, (1, 1, 2, 2), mode="reflect"),
        },
    ),
)
