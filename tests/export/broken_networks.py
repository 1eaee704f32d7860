"""Networks that cannot be exported, each for one reason, each inside a submodule."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tinyml.core.spec import Signature, TensorSpec

SAMPLES = 64
SIGNATURE = Signature((TensorSpec("x", (1, SAMPLES)),), (TensorSpec("y", (1, 3)),))


class Spectrum(nn.Module):
    """A spectrogram by torch.stft: complex numbers."""

    def forward(self, x: Tensor) -> Tensor:
        window = torch.hann_window(16)
        frames = torch.stft(x, 16, hop_length=8, window=window, return_complex=True)
        return frames.abs().mean(-1)


class Scale(nn.Module):
    """Divides by a Python number that it takes out of a tensor."""

    def forward(self, x: Tensor) -> Tensor:
        return x / (x.abs().max().item() + 1.0)


class Gate(nn.Module):
    """Goes one way or another by what the signal is."""

    def forward(self, x: Tensor) -> Tensor:
        if x.mean() > 0:
            return x
        return -x


class Phase(nn.Module):
    """A complex weight."""

    def __init__(self) -> None:
        super().__init__()
        self.turn = nn.Parameter(torch.polar(torch.ones(SAMPLES), torch.linspace(0, 3, SAMPLES)))

    def forward(self, x: Tensor) -> Tensor:
        return (x * self.turn).real


class Counter(nn.Module):
    """Counts its calls in a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x / self.calls


@torch.library.custom_op("tinyml_tests::swish", mutates_args=())
def swish(x: Tensor) -> Tensor:
    """An operator that no format has."""
    return x * torch.sigmoid(x)


@swish.register_fake
def _(x: Tensor) -> Tensor:
    return torch.empty_like(x)


class Custom(nn.Module):
    """Calls an operator of its own."""

    def forward(self, x: Tensor) -> Tensor:
        called: Tensor = swish(x)
        return called


class Upsample(nn.Module):
    """The usual decoder of an autoencoder, which LiteRT cannot take as it is."""

    def __init__(self) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(1, 1, 3, stride=2, padding=1, output_padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.up(x.reshape(1, 1, 8, 8)).flatten(1)


class Loud(nn.Module):
    """Picks the loud samples: how many depends on the signal."""

    def forward(self, x: Tensor) -> Tensor:
        return x[x > 0].sum().reshape(1, 1)


class Broken(nn.Module):
    """A body with ``part`` in its middle, between what every format takes."""

    def __init__(self, part: nn.Module, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(SAMPLES, SAMPLES), nn.Sequential(nn.ReLU(), part))
        self.head = nn.Linear(width, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))


WIDTHS = {Spectrum: 9, Upsample: 256, Loud: 1}


def broken(kind: type[nn.Module]) -> nn.Module:
    """The seeded `Broken` with one of the above as ``body.1.1``."""
    torch.manual_seed(0)
    return Broken(kind(), WIDTHS.get(kind, SAMPLES)).eval()
