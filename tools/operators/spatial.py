"""Rows of torch.nn: poolings, paddings and resizings."""

from __future__ import annotations

import torch
from torch import nn

from operators.row import IMAGE, SIGNAL, VOLUME, Row, rows_of

POOLINGS = "Poolings"
PADDINGS = "Paddings"
RESIZINGS = "Resizings"


class Unpooled(nn.Module):
    """``unpool`` behind ``pool``, which also gives where each maximum was."""

    def __init__(self, pool: nn.Module, unpool: nn.Module) -> None:
        super().__init__()
        self.pool, self.unpool = pool, unpool

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.unpool(*self.pool(x))


def _upsample(mode: str, **options: bool) -> nn.Module:
    return nn.Upsample(scale_factor=2, mode=mode, **options)


ROWS: tuple[Row, ...] = (
    *rows_of(
        POOLINGS,
        SIGNAL,
        {
            "nn.MaxPool1d": lambda: nn.MaxPool1d(3, 2, padding=1),
            "nn.AvgPool1d": lambda: nn.AvgPool1d(3, 2, padding=1),
            "nn.LPPool1d": lambda: nn.LPPool1d(2, 3),
            "nn.AdaptiveMaxPool1d": lambda: nn.AdaptiveMaxPool1d(5),
            "nn.AdaptiveAvgPool1d": lambda: nn.AdaptiveAvgPool1d(5),
            "nn.MaxUnpool1d": lambda: Unpooled(
                nn.MaxPool1d(2, return_indices=True), nn.MaxUnpool1d(2)
            ),
        },
    ),
    *rows_of(
        POOLINGS,
        IMAGE,
        {
            "nn.MaxPool2d": lambda: nn.MaxPool2d(2),
            "nn.MaxPool2d (ceil)": lambda: nn.MaxPool2d(3, 2, ceil_mode=True),
            "nn.MaxPool2d (dilation)": lambda: nn.MaxPool2d(2, 1, dilation=2),
            "nn.AvgPool2d": lambda: nn.AvgPool2d(2),
            "nn.AvgPool2d (ceil)": lambda: nn.AvgPool2d(3, 2, ceil_mode=True),
            "nn.AvgPool2d (no padding counted)": lambda: nn.AvgPool2d(
                3, 2, padding=1, count_include_pad=False
            ),
            "nn.LPPool2d": lambda: nn.LPPool2d(2, 2),
            "nn.FractionalMaxPool2d": lambda: nn.FractionalMaxPool2d(2, 5),
            "nn.AdaptiveMaxPool2d": lambda: nn.AdaptiveMaxPool2d((5, 3)),
            "nn.AdaptiveAvgPool2d": lambda: nn.AdaptiveAvgPool2d((5, 3)),
            "nn.AdaptiveAvgPool2d (1)": lambda: nn.AdaptiveAvgPool2d(1),
            "nn.MaxUnpool2d": lambda: Unpooled(
                nn.MaxPool2d(2, return_indices=True), nn.MaxUnpool2d(2)
            ),
        },
    ),
    *rows_of(
        POOLINGS,
        VOLUME,
        {
            "nn.MaxPool3d": lambda: nn.MaxPool3d(2),
            "nn.MaxPool3d (dilation)": lambda: nn.MaxPool3d(2, 1, dilation=2),
            "nn.AvgPool3d": lambda: nn.AvgPool3d(2),
            "nn.LPPool3d": lambda: nn.LPPool3d(2, 2),
            "nn.FractionalMaxPool3d": lambda: nn.FractionalMaxPool3d(2, 3),
            "nn.AdaptiveMaxPool3d": lambda: nn.AdaptiveMaxPool3d(3),
            "nn.AdaptiveAvgPool3d": lambda: nn.AdaptiveAvgPool3d(3),
            "nn.MaxUnpool3d": lambda: Unpooled(
                nn.MaxPool3d(2, return_indices=True), nn.MaxUnpool3d(2)
            ),
        },
    ),
    *rows_of(
        PADDINGS,
        SIGNAL,
        {
            "nn.ZeroPad1d": lambda: nn.ZeroPad1d((1, 2)),
            "nn.ConstantPad1d": lambda: nn.ConstantPad1d((1, 2), 0.4),
            "nn.ReflectionPad1d": lambda: nn.ReflectionPad1d((1, 2)),
            "nn.ReplicationPad1d": lambda: nn.ReplicationPad1d((1, 2)),
            "nn.CircularPad1d": lambda: nn.CircularPad1d((1, 2)),
        },
    ),
    *rows_of(
        PADDINGS,
        IMAGE,
        {
            "nn.ZeroPad2d": lambda: nn.ZeroPad2d((1, 2, 0, 3)),
            "nn.ZeroPad2d (crop)": lambda: nn.ZeroPad2d((-1, 2, 0, -3)),
            "nn.ConstantPad2d": lambda: nn.ConstantPad2d((1, 2, 0, 3), 0.4),
            "nn.ReflectionPad2d": lambda: nn.ReflectionPad2d((1, 2, 0, 3)),
            "nn.ReplicationPad2d": lambda: nn.ReplicationPad2d((1, 2, 0, 3)),
            "nn.CircularPad2d": lambda: nn.CircularPad2d((1, 2, 0, 3)),
        },
    ),
    *rows_of(
        PADDINGS,
        VOLUME,
        {
            "nn.ZeroPad3d": lambda: nn.ZeroPad3d(1),
            "nn.ConstantPad3d": lambda: nn.ConstantPad3d(1, 0.4),
            "nn.ReflectionPad3d": lambda: nn.ReflectionPad3d(1),
            "nn.ReplicationPad3d": lambda: nn.ReplicationPad3d(1),
            "nn.CircularPad3d": lambda: nn.CircularPad3d(1),
        },
    ),
    *rows_of(RESIZINGS, SIGNAL, {"nn.Upsample (linear)": lambda: _upsample("linear")}),
    *rows_of(
        RESIZINGS,
        IMAGE,
        {
            "nn.Upsample (nearest)": lambda: _upsample("nearest"),
            "nn.Upsample (bilinear)": lambda: _upsample("bilinear"),
            "nn.Upsample (align_corners)": lambda: _upsample("bilinear", align_corners=True),
            "nn.Upsample (bicubic)": lambda: _upsample("bicubic"),
            "nn.UpsamplingNearest2d": lambda: nn.UpsamplingNearest2d(size=(15, 7)),
            "nn.UpsamplingBilinear2d": lambda: nn.UpsamplingBilinear2d(size=(15, 7)),
        },
    ),
    *rows_of(RESIZINGS, VOLUME, {"nn.Upsample (trilinear)": lambda: _upsample("trilinear")}),
)
