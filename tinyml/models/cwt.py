"""The complex Morlet transform as fixed, real, strided convolutions inside a module.

The wavelet of frequency f is the closed form

    psi_f(t) = 2 g(t; sigma) exp(2 pi i f t),   sigma = w0 / (2 pi f),

with g the normal density, so that a sine of amplitude 1 at f has magnitude 1 (Torrence &
Compo 1998, eq. 1-2, in L1 normalization). A coefficient is the correlation of the signal
with psi_f. There is no complex number, no FFT and no custom operation in the graph.

`MultiRateBank` is what is used; `SingleRateBank` is its reference, and takes any taps.
`tinyml.models.streaming_cwt` computes the first on a stream.

Edges: samples outside of the window count as zero, so coefficients nearer to an end than
``edge_s`` of their frequency differ from those of a longer recording.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from tinyml.core.errors import InputError

Reals = NDArray[np.float64]
HALF_BAND_TAPS = 47
HALF_BAND_BETA = 10.0
CUT_SIGMAS = 4.2


def morlet(time_s: Reals, frequency_hz: float, w0: float) -> NDArray[np.complex128]:
    """psi_f at ``time_s``, in 1/s: the sum over samples times the sample interval is 1."""
    sigma = w0 / (2 * np.pi * frequency_hz)
    envelope = 2 * np.exp(-0.5 * (time_s / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))
    return np.asarray(envelope * np.exp(2j * np.pi * frequency_hz * time_s))


def half_band(taps: int = HALF_BAND_TAPS, beta: float = HALF_BAND_BETA) -> Reals:
    """A linear-phase low-pass at a quarter of the rate: windowed sinc, Kaiser, unit gain at 0."""
    offset = np.arange(taps) - taps // 2
    response = np.sinc(offset / 2) * np.kaiser(taps, beta)
    return np.asarray(response / response.sum())


def check_scales(frequencies_hz: Sequence[float], rate_hz: float, allow_aliased: bool) -> None:
    """Raise `InputError` when a scale lies at or above half the sample rate."""
    aliased = [f for f in frequencies_hz if f >= rate_hz / 2]
    if aliased and not allow_aliased:
        raise InputError(
            f"{len(aliased)} of {len(frequencies_hz)} scales lie above {rate_hz / 2:g} Hz, "
            f"half the sample rate: {', '.join(f'{f:.4g}' for f in aliased[:5])} Hz",
            hint="lower the highest frequency or raise the rate",
        )


def edge_s(frequency_hz: float, w0: float, rate_hz: int) -> float:
    """Seconds from an end of the window within which a multi-rate coefficient is affected.

    Half the wavelet at its cut, and half of each decimator before it; the wavelet is
    counted twice, for its own reach and for the decimator's ringing that it sees.
    """
    sigma = w0 / (2 * np.pi * frequency_hz)
    return float(2 * CUT_SIGMAS * sigma + HALF_BAND_TAPS / rate_hz * 800.0 / frequency_hz)


class SingleRateBank(nn.Module):
    """Every scale at the input's own rate: the reference, and an option.

    real, imaginary  [scales, taps] of each scale's *correlation* kernel
    hop              samples between two instants
    first            sample that the middle of the kernel sits on first
    """

    def __init__(self, real: Reals, imaginary: Reals, *, hop: int, first: int = 0) -> None:
        super().__init__()
        taps = np.concatenate([real, imaginary])[:, None, None, :]
        self.register_buffer("taps", torch.tensor(taps, dtype=torch.float32))
        self.scales, self.hop = len(real), hop
        self.left = (real.shape[1] - 1) // 2 - first

    @classmethod
    def morlet(
        cls,
        frequencies_hz: Sequence[float],
        rate_hz: float,
        w0: float,
        *,
        hop: int = 1,
        cut_sigmas: float = CUT_SIGMAS,
        allow_aliased_scales: bool = False,
    ) -> SingleRateBank:
        """The closed-form Morlet at ``frequencies_hz``; kernels have an odd number of taps."""
        check_scales(frequencies_hz, rate_hz, allow_aliased_scales)
        longest = cut_sigmas * w0 / (2 * np.pi * min(frequencies_hz))
        half = int(np.ceil(longest * rate_hz))
        kernel = _kernels(frequencies_hz, np.arange(-half, half + 1.0), rate_hz, w0)
        return cls(kernel.real, kernel.imag, hop=hop)

    def forward(self, waveform: Tensor) -> Tensor:
        """[B, 1, 1, time] -> [B, 2 scales, 1, instants]: real parts, then imaginary parts."""
        taps = self.get_buffer("taps")
        instants = -(-waveform.shape[-1] // self.hop)
        right = self.hop * (instants - 1) + taps.shape[-1] - self.left - waveform.shape[-1]
        return F.conv2d(F.pad(waveform, (self.left, right)), taps, stride=(1, self.hop))


@dataclass(frozen=True, slots=True)
class Octave:
    """The scales of one octave, at the rate they are computed at.

    ``instants`` coefficients make a frame; the first lies half a hop after time 0.
    """

    index: int
    frequencies_hz: tuple[float, ...]
    rate_hz: float
    instants: int


def octaves(
    frequencies_hz: Sequence[float], rate_hz: int, frames_per_s: int, hop: int
) -> tuple[Octave, ...]:
    """Split ``frequencies_hz``, falling, into octaves, each at half the rate of the one before."""
    top = max(frequencies_hz)
    index = [max(0, int(np.ceil(np.log2(top / f) - 1e-9)) - 1) for f in frequencies_hz]
    return tuple(
        Octave(
            k,
            tuple(f for f, i in zip(frequencies_hz, index, strict=True) if i == k),
            rate_hz / 2**k,
            _instants(rate_hz, frames_per_s, hop, k),
        )
        for k in range(max(index) + 1)
    )


def _instants(rate_hz: int, frames_per_s: int, hop: int, octave: int) -> int:
    instants, rest = divmod(rate_hz, frames_per_s * hop << octave)
    if rest or not instants:
        raise InputError(
            f"octave {octave} at {rate_hz / 2**octave:g} Hz with a hop of {hop} does not make "
            f"{frames_per_s} frames/s",
            hint="rate = frames_per_s * hop * 2**octave * a whole number",
        )
    return instants


class OctaveBank(nn.Module):
    """One octave: strided convolution, squared magnitude, average over a frame.

    The kernels are the closed form at half-integer offsets (an even number of taps for an
    odd hop), so each instant lies exactly half a hop inside its slot, and the frames of
    all octaves are centred on the same times without any fractional delay.
    """

    def __init__(self, octave: Octave, w0: float, hop: int, cut_sigmas: float) -> None:
        super().__init__()
        sigma = w0 / (2 * np.pi * min(octave.frequencies_hz))
        taps = 2 * int(np.ceil(cut_sigmas * sigma * octave.rate_hz)) + (hop + 1) % 2
        offsets = np.arange(taps, dtype=np.float64) - (taps - 1) / 2
        kernel = _kernels(octave.frequencies_hz, offsets, octave.rate_hz, w0)
        # A leading zero makes the padding equal on both sides, so that it is the convolution's
        # own: engines then need no copy of the signal for it.
        both = np.pad(np.concatenate([kernel.real, kernel.imag]), ((0, 0), (1, 0)))
        self.register_buffer("taps", torch.tensor(both[:, None, None, :], dtype=torch.float32))
        scales = len(octave.frequencies_hz)
        pair = np.concatenate([np.eye(scales), np.eye(scales)], axis=1)[:, :, None, None]
        self.register_buffer("pair", torch.tensor(pair, dtype=torch.float32))
        self.octave, self.hop = octave, hop
        self.side = (taps + 1 - hop) // 2

    def coefficients(self, waveform: Tensor) -> Tensor:
        """[B, 1, 1, time] at the octave's rate -> [B, 2 scales, 1, instants]."""
        return F.conv2d(waveform, self.get_buffer("taps"), None, (1, self.hop), (0, self.side))

    def forward(self, waveform: Tensor) -> Tensor:
        """[B, 1, 1, time] -> power [B, scales, 1, frames]."""
        return self.power(self.coefficients(waveform))

    def power(self, parts: Tensor) -> Tensor:
        """Coefficients [B, 2 scales, 1, instants] -> their power [B, scales, 1, frames]."""
        squares = parts * parts
        if self.octave.instants > 1:
            squares = F.avg_pool2d(squares, (1, self.octave.instants))
        return F.conv2d(squares, self.get_buffer("pair"))


class MultiRateBank(nn.Module):
    """Averaged power of a complex Morlet transform, one octave at a time.

    Each octave is computed at half the rate of the one above, behind a half-band
    decimator, since a Morlet's relative bandwidth 1/w0 keeps it clear of the decimator's
    transition band. [B, 1, 1, time] -> [B, scales, 1, frames], highest frequency first.
    """

    def __init__(
        self,
        frequencies_hz: Sequence[float],
        rate_hz: int,
        w0: float = 6.0,
        *,
        frames_per_s: int = 50,
        hop: int = 5,
        cut_sigmas: float = CUT_SIGMAS,
    ) -> None:
        super().__init__()
        check_scales(frequencies_hz, rate_hz, allow_aliased=False)
        self.frequencies_hz = tuple(sorted(frequencies_hz, reverse=True))
        found = octaves(self.frequencies_hz, rate_hz, frames_per_s, hop)
        self.octaves = nn.ModuleList(OctaveBank(o, w0, hop, cut_sigmas) for o in found)
        decimator = half_band()[None, None, None, :]
        self.register_buffer("half_band", torch.tensor(decimator, dtype=torch.float32))
        self.rate_hz, self.hop = rate_hz, hop

    def forward(self, waveform: Tensor) -> Tensor:
        rates = self._rates(waveform)
        banks = zip(self.octaves, rates, strict=True)
        return torch.cat([bank(signal) for bank, signal in banks], dim=1)

    def coefficients(self, waveform: Tensor) -> list[tuple[Octave, Reals, Tensor]]:
        """Per octave: its description, instants in seconds, complex [B, scales, instants]."""
        found = []
        for bank, signal in zip(self.octaves, self._rates(waveform), strict=True):
            assert isinstance(bank, OctaveBank)
            real, imaginary = bank.coefficients(signal)[:, :, 0].chunk(2, dim=1)
            slots = np.arange(real.shape[-1], dtype=np.float64) + 0.5
            times_s = slots * self.hop / bank.octave.rate_hz
            found.append((bank.octave, times_s, torch.complex(real, imaginary)))
        return found

    def _rates(self, waveform: Tensor) -> list[Tensor]:
        """The waveform at every octave's rate; sample n of octave k is at n 2**k / rate."""
        taps, signals = self.get_buffer("half_band"), [waveform]
        for _ in range(len(self.octaves) - 1):
            signals.append(F.conv2d(signals[-1], taps, None, (1, 2), (0, taps.shape[-1] // 2)))
        return signals


def _kernels(
    frequencies_hz: Sequence[float], offsets: Reals, rate_hz: float, w0: float
) -> NDArray[np.complex128]:
    """[scales, taps] conj(psi_f), sampled: what the signal is correlated with."""
    rows = [np.conj(morlet(offsets / rate_hz, f, w0)) / rate_hz for f in frequencies_hz]
    return np.stack(rows)
