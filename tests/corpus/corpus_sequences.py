"""Networks on signals, tokens and state, as people write them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class KeywordNet(nn.Module):
    """DS-CNN on 49 frames of 10 coefficients."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, 16, (10, 4), (2, 2), (5, 1), bias=False), nn.BatchNorm2d(16), nn.ReLU()
        )
        self.separable = nn.Sequential(Separable(16), Separable(16))
        self.drop, self.head = nn.Dropout(0.2), nn.Linear(16, 12)

    def forward(self, features: Tensor) -> Tensor:
        x = self.separable(self.stem(features))
        x = F.avg_pool2d(x, x.shape[2:]).flatten(1)
        return torch.softmax(self.head(self.drop(x)), -1)


class Separable(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.norm1, self.norm2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)
        self.pointwise = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm1(self.depthwise(x)))
        return F.relu(self.norm2(self.pointwise(x)))


class Encoder(nn.Module):
    """PyTorch's own transformer encoder on projected frames with learned positions."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(10, 16)
        self.positions = nn.Parameter(torch.randn(1, 20, 16))
        layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(16, 4)

    def forward(self, frames: Tensor) -> Tensor:
        return self.head(self.encoder(self.project(frames) + self.positions).mean(1))


class Gru(nn.Module):
    """One hop of frames and the state in, an answer and the next state out."""

    def __init__(self) -> None:
        super().__init__()
        self.project, self.act = nn.Linear(10, 12), nn.ReLU()
        self.gru = nn.GRU(12, 16, batch_first=True)
        self.norm, self.head = nn.LayerNorm(16), nn.Linear(16, 4)

    def forward(self, frames: Tensor, h: Tensor) -> dict[str, Tensor]:
        y, state = self.gru(self.act(self.project(frames)), h)
        return {"logits": self.head(self.norm(y[:, -1])), "next_h": state}


class Lstm(nn.Module):
    """Two layers, two states."""

    def __init__(self) -> None:
        super().__init__()
        self.project, self.act = nn.Linear(10, 12), nn.ReLU()
        self.lstm = nn.LSTM(12, 16, num_layers=2, batch_first=True)
        self.norm, self.head = nn.LayerNorm(16), nn.Linear(16, 4)

    def forward(self, frames: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        y, (next_h, next_c) = self.lstm(self.act(self.project(frames)), (h, c))
        return self.head(self.norm(y[:, -1])), next_h, next_c


class CausalBlock(nn.Module):
    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.past = 2 * dilation
        self.conv = nn.Conv1d(channels, channels, 3, dilation=dilation)
        self.norm, self.act = nn.BatchNorm1d(channels), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return x + self.act(self.norm(self.conv(F.pad(x, (self.past, 0)))))


class TemporalNet(nn.Module):
    """Dilated causal convolutions, each padded with the past only."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv1d(4, 12, 1)
        self.blocks = nn.Sequential(*(CausalBlock(12, 2**i) for i in range(4)))
        self.head = nn.Conv1d(12, 3, 1)

    def forward(self, signal: Tensor) -> Tensor:
        return self.head(self.blocks(self.stem(signal)))


class EcgNet(nn.Module):
    """1-D residual network on twelve leads, pooled both ways."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv1d(12, 16, 15, 2, 7, bias=False),
            nn.BatchNorm1d(16),
            nn.ReLU(),
            nn.MaxPool1d(3, 2),
        )
        self.block1, self.block2 = EcgBlock(16, 24), EcgBlock(24, 32)
        self.head = nn.Linear(64, 5)

    def forward(self, leads: Tensor) -> Tensor:
        x = self.block2(self.block1(self.stem(leads)))
        pooled = [F.adaptive_avg_pool1d(x, 1), F.adaptive_max_pool1d(x, 1)]
        return torch.sigmoid(self.head(torch.cat(pooled, 1).squeeze(-1)))


class EcgBlock(nn.Module):
    def __init__(self, into: int, out: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv1d(into, out, 7, 2, 3),
            nn.BatchNorm1d(out),
            nn.ReLU(),
            nn.Conv1d(out, out, 7, 1, 3),
        )
        self.shortcut = nn.Sequential(nn.AvgPool1d(2, ceil_mode=True), nn.Conv1d(into, out, 1))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.conv(x) + self.shortcut(x))


class TextNet(nn.Module):
    """Embedded token ids, convolved, pooled; padding tokens are masked."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(50, 16, padding_idx=0)
        self.conv = nn.Sequential(nn.Conv1d(16, 24, 3, padding=1), nn.ReLU())
        self.hidden, self.head = nn.Linear(24, 12), nn.Linear(12, 2)

    def forward(self, ids: Tensor) -> Tensor:
        mask = (ids != 0).float().unsqueeze(1)
        x = self.conv(self.embedding(ids).transpose(1, 2)) * mask
        mean = x.sum(2) / mask.sum(2).clamp(min=1.0)
        return self.head(torch.tanh(self.hidden(mean)))


class Spectrogram(nn.Module):
    """Power of the short-time Fourier transform, on a mel-like scale, in decibels."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(64))
        self.register_buffer("bands", torch.rand(12, 33))

    def forward(self, waveform: Tensor) -> Tensor:
        spectrum = torch.stft(
            waveform, 64, hop_length=32, window=self.window, center=True, return_complex=True
        )
        power = torch.matmul(self.bands, spectrum.abs().square())
        return 10.0 * torch.log10(power + 1e-6)


class SpectrogramNet(nn.Module):
    """A spectrogram in front of a small convolutional network."""

    def __init__(self) -> None:
        super().__init__()
        self.spectrogram = Spectrogram()
        self.norm = nn.BatchNorm1d(12)
        self.conv = nn.Sequential(nn.Conv1d(12, 16, 3, 2), nn.ReLU())
        self.head = nn.Linear(16, 3)

    def forward(self, waveform: Tensor) -> Tensor:
        return self.head(self.conv(self.norm(self.spectrogram(waveform))).mean(2))


class SpeechDenoiser(nn.Module):
    """1-D encoder, gated middle, transposed decoder with output_padding: Conv-TasNet small."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv1d(1, 16, 5, 3, 2), nn.ReLU())
        self.content = nn.Conv1d(16, 16, 3, padding=1)
        self.gate = nn.Sequential(nn.Conv1d(16, 16, 3, padding=1), nn.Sigmoid())
        self.decoder = nn.ConvTranspose1d(16, 1, 5, 3, 2, output_padding=2)

    def forward(self, waveform: Tensor) -> Tensor:
        code = self.encoder(waveform)
        return self.decoder(self.content(code) * self.gate(code))
