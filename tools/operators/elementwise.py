"""Rows of torch.nn: activations and normalisations."""

from __future__ import annotations

from torch import nn

from operators.row import FRAMES, IMAGE, SIGNAL, VOLUME, Row, rows_of

ACTIVATIONS = "Activations"
NORMS = "Normalisations"

ROWS: tuple[Row, ...] = (
    *rows_of(
        ACTIVATIONS,
        IMAGE,
        {
            "nn.CELU": lambda: nn.CELU(0.7),
            "nn.ELU": lambda: nn.ELU(0.7),
            "nn.GELU": nn.GELU,
            "nn.GELU (tanh)": lambda: nn.GELU("tanh"),
            "nn.GLU": lambda: nn.GLU(1),
            "nn.Hardshrink": lambda: nn.Hardshrink(0.2),
            "nn.Hardsigmoid": nn.Hardsigmoid,
            "nn.Hardswish": nn.Hardswish,
            "nn.Hardtanh": lambda: nn.Hardtanh(-0.5, 0.4),
            "nn.LeakyReLU": lambda: nn.LeakyReLU(0.1),
            "nn.LogSigmoid": nn.LogSigmoid,
            "nn.LogSoftmax": lambda: nn.LogSoftmax(1),
            "nn.Mish": nn.Mish,
            "nn.PReLU": lambda: nn.PReLU(4),
            "nn.ReLU": nn.ReLU,
            "nn.ReLU6": nn.ReLU6,
            "nn.RReLU": nn.RReLU,
            "nn.SELU": nn.SELU,
            "nn.SiLU": nn.SiLU,
            "nn.Sigmoid": nn.Sigmoid,
            "nn.Softmax": lambda: nn.Softmax(1),
            "nn.Softmax2d": nn.Softmax2d,
            "nn.Softmin": lambda: nn.Softmin(1),
            "nn.Softplus": nn.Softplus,
            "nn.Softshrink": lambda: nn.Softshrink(0.2),
            "nn.Softsign": nn.Softsign,
            "nn.Tanh": nn.Tanh,
            "nn.Tanhshrink": nn.Tanhshrink,
            "nn.Threshold": lambda: nn.Threshold(0.1, -0.5),
        },
    ),
    *rows_of(
        NORMS,
        SIGNAL,
        {
            "nn.BatchNorm1d": lambda: nn.BatchNorm1d(4),
            "nn.InstanceNorm1d": lambda: nn.InstanceNorm1d(4, affine=True),
        },
    ),
    *rows_of(
        NORMS,
        IMAGE,
        {
            "nn.BatchNorm2d": lambda: nn.BatchNorm2d(4),
            "nn.SyncBatchNorm": lambda: nn.SyncBatchNorm(4),
            "nn.InstanceNorm2d": lambda: nn.InstanceNorm2d(4),
            "nn.InstanceNorm2d (tracked)": lambda: nn.InstanceNorm2d(4, track_running_stats=True),
            "nn.GroupNorm": lambda: nn.GroupNorm(2, 4),
            "nn.LocalResponseNorm": lambda: nn.LocalResponseNorm(2),
            "nn.CrossMapLRN2d": lambda: nn.CrossMapLRN2d(2),
        },
    ),
    *rows_of(
        NORMS,
        VOLUME,
        {
            "nn.BatchNorm3d": lambda: nn.BatchNorm3d(2),
            "nn.InstanceNorm3d": lambda: nn.InstanceNorm3d(2),
        },
    ),
    *rows_of(
        NORMS,
        FRAMES,
        {
            "nn.LayerNorm": lambda: nn.LayerNorm(16),
            "nn.RMSNorm": lambda: nn.RMSNorm(16),
        },
    ),
)
