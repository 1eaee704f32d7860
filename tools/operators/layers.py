"""Rows of torch.nn: layers that compute with weights, that keep a state, that attend."""

from __future__ import annotations

import torch
from torch import nn

from operators.row import FRAMES, IDS, IMAGE, SIGNAL, VECTOR, VOLUME, Row, rows_of

LINEAR = "Layers with weights"
RECURRENT = "Recurrent layers"
ATTENTION = "Attention"
ORDERING = "Reordering, dropout, distances"


class First(nn.Module):
    """The first of what ``inner`` returns."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x)[0]


class OfItself(nn.Module):
    """``inner`` of its input and the same input scaled, ``count`` in all."""

    def __init__(self, inner: nn.Module, count: int = 2) -> None:
        super().__init__()
        self.inner, self.count = inner, count

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found = self.inner(*(x * (1 + 0.5 * place) for place in range(self.count)))
        return found[0] if isinstance(found, tuple) else found


def _encoder_layer() -> nn.Module:
    return nn.TransformerEncoderLayer(16, 2, dim_feedforward=24, batch_first=True)


def _decoder_layer() -> nn.Module:
    return nn.TransformerDecoderLayer(16, 2, dim_feedforward=24, batch_first=True)


ROWS: tuple[Row, ...] = (
    *rows_of(LINEAR, VECTOR, {"nn.Linear": lambda: nn.Linear(16, 12)}),
    *rows_of(LINEAR, VECTOR, {"nn.Bilinear": lambda: OfItself(nn.Bilinear(16, 16, 6))}),
    *rows_of(
        LINEAR,
        SIGNAL,
        {
            "nn.Conv1d": lambda: nn.Conv1d(4, 6, 3),
            "nn.Conv1d (same, even kernel)": lambda: nn.Conv1d(4, 6, 4, padding="same"),
            "nn.Conv1d (reflect)": lambda: nn.Conv1d(4, 6, 3, padding=1, padding_mode="reflect"),
            "nn.Conv1d (dilation, groups)": lambda: nn.Conv1d(4, 8, 3, dilation=2, groups=4),
            "nn.ConvTranspose1d": lambda: nn.ConvTranspose1d(4, 6, 4, stride=2, padding=1),
        },
    ),
    *rows_of(
        LINEAR,
        IMAGE,
        {
            "nn.Conv2d": lambda: nn.Conv2d(4, 6, 3, stride=2),
            "nn.Conv2d (depthwise)": lambda: nn.Conv2d(4, 4, 3, groups=4),
            "nn.Conv2d (groups)": lambda: nn.Conv2d(4, 8, 3, groups=2),
            "nn.Conv2d (circular)": lambda: nn.Conv2d(4, 6, 3, padding=1, padding_mode="circular"),
            "nn.ConvTranspose2d": lambda: nn.ConvTranspose2d(4, 6, 3, stride=2),
            "nn.ConvTranspose2d (output_padding)": lambda: nn.ConvTranspose2d(
                4, 6, 3, stride=2, padding=1, output_padding=1
            ),
            "nn.ConvTranspose2d (groups)": lambda: nn.ConvTranspose2d(4, 4, 2, stride=2, groups=2),
            "nn.ConvTranspose2d (dilation)": lambda: nn.ConvTranspose2d(4, 6, 3, dilation=2),
        },
    ),
    *rows_of(
        LINEAR,
        VOLUME,
        {
            "nn.Conv3d": lambda: nn.Conv3d(2, 4, 3),
            "nn.ConvTranspose3d": lambda: nn.ConvTranspose3d(2, 4, 2, stride=2),
        },
    ),
    *rows_of(
        LINEAR,
        IDS,
        {
            "nn.Embedding": lambda: nn.Embedding(20, 8),
            "nn.EmbeddingBag": lambda: nn.EmbeddingBag(20, 8),
        },
    ),
    *rows_of(
        RECURRENT,
        FRAMES,
        {
            "nn.RNN": lambda: First(nn.RNN(16, 8, batch_first=True)),
            "nn.LSTM": lambda: First(nn.LSTM(16, 8, batch_first=True)),
            "nn.LSTM (2 layers, bidirectional)": lambda: First(
                nn.LSTM(16, 8, 2, bidirectional=True, batch_first=True)
            ),
            "nn.LSTM (projection)": lambda: First(nn.LSTM(16, 8, proj_size=4, batch_first=True)),
            "nn.GRU": lambda: First(nn.GRU(16, 8, batch_first=True)),
            "nn.GRU (bidirectional)": lambda: First(
                nn.GRU(16, 8, bidirectional=True, batch_first=True)
            ),
        },
    ),
    *rows_of(
        RECURRENT,
        VECTOR,
        {
            "nn.RNNCell": lambda: nn.RNNCell(16, 8),
            "nn.LSTMCell": lambda: First(nn.LSTMCell(16, 8)),
            "nn.GRUCell": lambda: nn.GRUCell(16, 8),
        },
    ),
    *rows_of(
        ATTENTION,
        FRAMES,
        {
            "nn.MultiheadAttention": lambda: OfItself(
                nn.MultiheadAttention(16, 2, batch_first=True), 3
            ),
            "nn.TransformerEncoderLayer": _encoder_layer,
            "nn.TransformerEncoder": lambda: nn.TransformerEncoder(
                _encoder_layer(), 2, enable_nested_tensor=False
            ),
            "nn.TransformerDecoderLayer": lambda: OfItself(_decoder_layer()),
            "nn.TransformerDecoder": lambda: OfItself(nn.TransformerDecoder(_decoder_layer(), 2)),
            "nn.Transformer": lambda: OfItself(nn.Transformer(16, 2, 1, 1, 24, batch_first=True)),
        },
    ),
    *rows_of(
        ORDERING,
        IMAGE,
        {
            "nn.Identity": nn.Identity,
            "nn.Flatten": lambda: nn.Flatten(2),
            "nn.Unflatten": lambda: nn.Unflatten(1, (2, 2)),
            "nn.ChannelShuffle": lambda: nn.ChannelShuffle(2),
            "nn.PixelShuffle": lambda: nn.PixelShuffle(2),
            "nn.PixelUnshuffle": lambda: nn.PixelUnshuffle(2),
            "nn.Unfold": lambda: nn.Unfold(3, padding=1),
            "nn.Dropout": nn.Dropout,
            "nn.Dropout2d": nn.Dropout2d,
            "nn.AlphaDropout": nn.AlphaDropout,
            "nn.FeatureAlphaDropout": nn.FeatureAlphaDropout,
        },
    ),
    *rows_of(ORDERING, SIGNAL, {"nn.Dropout1d": nn.Dropout1d}),
    *rows_of(ORDERING, VOLUME, {"nn.Dropout3d": nn.Dropout3d}),
    *rows_of(ORDERING, SIGNAL, {"nn.Fold": lambda: nn.Fold((5, 7), 2)}),
    *rows_of(
        ORDERING,
        FRAMES,
        {
            "nn.CosineSimilarity": lambda: OfItself(nn.CosineSimilarity(-1)),
            "nn.PairwiseDistance": lambda: OfItself(nn.PairwiseDistance()),
        },
    ),
)
