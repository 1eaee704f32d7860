"""Six networks that cannot be exported, as their users would bring them: one factory each."""

import torch
from torch import nn


class Scale(nn.Module):
    """Divides by a Python number that it takes out of a tensor."""

    def forward(self, x):
        return x / (x.abs().max().item() + 1.0)


class Gate(nn.Module):
    """Goes one way or another by what the signal is."""

    def forward(self, x):
        if x.mean() > 0:
            return x
        return -x


class Phase(nn.Module):
    """A complex weight."""

    def __init__(self):
        super().__init__()
        self.turn = nn.Parameter(torch.polar(torch.ones(64), torch.linspace(0, 3, 64)))

    def forward(self, x):
        return (x * self.turn).real


class Counter(nn.Module):
    """Counts its calls in a buffer."""

    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x):
        self.calls += 1
        return x / self.calls


class Loud(nn.Module):
    """Picks the loud samples: how many depends on the signal."""

    def forward(self, x):
        return x[x > 0].sum().reshape(1, 1).expand(1, 64)


class Spectrum(nn.Module):
    """A Fourier transform of its own."""

    def forward(self, x):
        return torch.fft.fft(x).abs()


class Network(nn.Module):
    def __init__(self, part):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(64, 64), nn.Sequential(nn.ReLU(), part))
        self.head = nn.Linear(64, 3)

    def forward(self, x):
        return self.head(self.body(x))


def scale():
    return Network(Scale())


def gate():
    return Network(Gate())


def phase():
    return Network(Phase())


def counter():
    return Network(Counter())


def loud():
    return Network(Loud())


def spectrum():
    return Network(Spectrum())
