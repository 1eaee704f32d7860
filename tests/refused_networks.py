"""Networks that do not export, as their users would bring them, and each after the advised fix."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch._higher_order_ops import while_loop
from torch.nn import functional

SAMPLES = 64


class Gate(nn.Module):
    """Goes one way or another by what the signal is."""

    def forward(self, x: Tensor) -> Tensor:
        if x.mean() > 0:
            return x
        return -x


class GateFixed(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.where(x.mean() > 0, x, -x)


class Ratio(nn.Module):
    """Computes with a function of Python."""

    def forward(self, x: Tensor) -> Tensor:
        return x / math.sqrt(x.square().sum() + 1.0)


class RatioFixed(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x / torch.sqrt(x.square().sum() + 1.0)


class Peak(nn.Module):
    """Computes with a function of NumPy."""

    def forward(self, x: Tensor) -> Tensor:
        return x / float(np.max(x.numpy()) + 1.0)


class PeakFixed(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x / (torch.max(x) + 1.0)


class Span(nn.Module):
    """Makes a tensor of the values of others."""

    def forward(self, x: Tensor) -> Tensor:
        low, high = torch.tensor([x.min(), x.max()])
        return (x - low) / (high - low + 1.0)


class SpanFixed(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        low, high = torch.stack([x.min(), x.max()])
        return (x - low) / (high - low + 1.0)


class Classes(nn.Module):
    """Leaves open how many classes there are."""

    def forward(self, x: Tensor) -> Tensor:
        return x * functional.one_hot((x > 1).long())[..., 0]


class ClassesFixed(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * functional.one_hot((x > 1).long(), num_classes=2)[..., 0]


class Counter(nn.Module):
    """Counts its calls in a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x / self.calls


class CounterFixed(nn.Module):
    def forward(self, x: Tensor, calls: Tensor) -> dict[str, Tensor]:
        calls = calls + 1
        return {"y": x / calls, "next_calls": calls}


@torch.library.custom_op("tinyml_tests::swish", mutates_args=())
def own_swish(x: Tensor) -> Tensor:
    """An operator that no format has."""
    return x * torch.sigmoid(x)


@own_swish.register_fake
def _(x: Tensor) -> Tensor:
    return torch.empty_like(x)


class Swish(nn.Module):
    """Calls an operator of its own."""

    def forward(self, x: Tensor) -> Tensor:
        called: Tensor = own_swish(x)
        return called


class SwishFixed(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(x)


class Response(nn.Module):
    """Changes the size of a tensor in place, in a layer of torch."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.CrossMapLRN2d(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x.reshape(1, 4, 4, 4)).flatten(1)


class ResponseFixed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LocalResponseNorm(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x.reshape(1, 4, 4, 4)).flatten(1)


class Scale(nn.Module):
    """Divides by a Python number that it takes out of a tensor."""

    def forward(self, x: Tensor) -> Tensor:
        return x / (x.abs().max().item() + 1.0)


class ScaleFixed(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x / (x.abs().max() + 1.0)


class Loud(nn.Module):
    """Picks the loud samples: how many depends on the signal."""

    def forward(self, x: Tensor) -> Tensor:
        return x - x[x > 1].sum()


class LoudFixed(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x - torch.where(x > 1, x, 0.0).sum()


class Phase(nn.Module):
    """A complex weight."""

    def __init__(self) -> None:
        super().__init__()
        self.turn = nn.Parameter(torch.polar(torch.ones(SAMPLES), torch.linspace(0, 3, SAMPLES)))

    def forward(self, x: Tensor) -> Tensor:
        return (x * self.turn).real


class PhaseFixed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.turn = nn.Parameter(torch.cos(torch.linspace(0, 3, SAMPLES)))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.turn


class Spectrum(nn.Module):
    """A Fourier transform of its own."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.fft.fft(x).abs()


class SpectrumFixed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        steps = torch.arange(SAMPLES)
        angles = 2 * math.pi * torch.outer(steps, steps) / SAMPLES
        self.register_buffer("cosines", torch.cos(angles))
        self.register_buffer("sines", torch.sin(angles))

    def forward(self, x: Tensor) -> Tensor:
        return torch.sqrt((x @ self.cosines).square() + (x @ self.sines).square() + 1e-6)


class Choice(nn.Module):
    """A branch inside the model."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cond(x.mean() > 0, torch.tanh, torch.sigmoid, (x,))


class ChoiceFixed(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.where(x.mean() > 0, torch.tanh(x), torch.sigmoid(x))


class Decay(nn.Module):
    """A loop inside the model."""

    def forward(self, x: Tensor) -> Tensor:
        def more(step: Tensor, _: Tensor) -> Tensor:
            return step < 3

        def halved(step: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
            return step + 1, value / 2

        return while_loop(more, halved, (torch.tensor(0), x))[1]


class DecayFixed(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        for _ in range(3):
            x = x / 2
        return x


class Middle(nn.Module):
    """Takes the median of the numbers away."""

    def forward(self, x: Tensor) -> Tensor:
        return x - x.nanmedian(1, keepdim=True).values


class MiddleFixed(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x - torch.sort(x, 1).values[:, 31:32]


class Marks(nn.Module):
    """Writes at places of the whole tensor."""

    def forward(self, x: Tensor) -> Tensor:
        return x.put(torch.tensor([3, 4]), torch.tensor([1.0, 2.0]))


class MarksFixed(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.scatter(1, torch.tensor([[3, 4]]), torch.tensor([[1.0, 2.0]]))


class Unpool(nn.Module):
    """Puts every maximum back to its place."""

    def forward(self, x: Tensor) -> Tensor:
        pooled, places = functional.max_pool1d(x.unsqueeze(1), 2, return_indices=True)
        return functional.max_unpool1d(pooled, places, 2).squeeze(1)


class UnpoolFixed(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        pooled = functional.max_pool1d(x.unsqueeze(1), 2)
        return functional.interpolate(pooled, scale_factor=2).squeeze(1)


class Noise(nn.Module):
    """Adds noise."""

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.randn_like(x)


class NoiseFixed(nn.Module):
    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        return x + noise


class Angle(nn.Module):
    """An operator that TFLite does not have."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.angle(x - 1)


class AngleFixed(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.where(x < 1, math.pi, 0.0)


class Fractional(nn.Module):
    """Pools windows that are drawn at random."""

    def forward(self, x: Tensor) -> Tensor:
        pooled = functional.fractional_max_pool2d(x.reshape(1, 1, 8, 8), 2, output_size=4)
        return pooled.flatten(1).repeat(1, 4)


class FractionalFixed(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        pooled = functional.adaptive_max_pool2d(x.reshape(1, 1, 8, 8), 4)
        return pooled.flatten(1).repeat(1, 4)


# Refused at capture, refused before a conversion to TFLite, and refused by a converter.
AT_CAPTURE = (Gate, Ratio, Peak, Span, Classes, Counter, Swish, Response)
AT_ONCE = (Scale, Loud, Choice, Decay, Middle, Marks, Unpool, Fractional, Noise)
AT_CONVERSION = (Phase, Spectrum, Angle)
FIXED: dict[type[nn.Module], type[nn.Module]] = {
    Gate: GateFixed,
    Ratio: RatioFixed,
    Peak: PeakFixed,
    Span: SpanFixed,
    Classes: ClassesFixed,
    Counter: CounterFixed,
    Swish: SwishFixed,
    Response: ResponseFixed,
    Scale: ScaleFixed,
    Loud: LoudFixed,
    Phase: PhaseFixed,
    Spectrum: SpectrumFixed,
    Choice: ChoiceFixed,
    Decay: DecayFixed,
    Middle: MiddleFixed,
    Marks: MarksFixed,
    Unpool: UnpoolFixed,
    Fractional: FractionalFixed,
    Noise: NoiseFixed,
    Angle: AngleFixed,
}


class Network(nn.Module):
    """``part`` as ``body.1.1``, between what every format takes."""

    def __init__(self, part: type[nn.Module]) -> None:
        super().__init__()
        torch.manual_seed(0)
        linear = nn.Linear(SAMPLES, SAMPLES)
        self.body = nn.Sequential(linear, nn.Sequential(nn.ReLU(), part()))
        self.head = nn.Linear(SAMPLES, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))


class AllFixed(nn.Module):
    """Every fixed part next to the others; ``calls`` is a state, and ``noise`` an input."""

    def __init__(self) -> None:
        super().__init__()
        self.counter = CounterFixed()
        self.noise = NoiseFixed()
        others = [kind for kind in FIXED.values() if kind not in (CounterFixed, NoiseFixed)]
        self.parts = nn.ModuleDict({kind.__name__.lower(): kind() for kind in others})

    def forward(self, x: Tensor, noise: Tensor, calls: Tensor) -> dict[str, Tensor]:
        found = self.counter(self.noise(x, noise), calls)
        parts = [part(found["y"]) for part in self.parts.values()]
        return {**found, "y": torch.cat(parts, 1)}


# What ``tinyml export net.py:gate`` calls, and the others.
FACTORIES = {kind.__name__.lower(): partial(Network, kind) for kind in FIXED}
globals().update(FACTORIES)
