"""The bank against the float64 closed form, PyWavelets, and its own single-rate reference."""

from __future__ import annotations

import numpy as np
import pytest
import pywt
import torch

from tinyml.core.errors import InputError
from tinyml.models.cwt import MultiRateBank, SingleRateBank, edge_s, half_band, morlet
from tinyml.models.funnelnet import FRAMES_PER_S, RATE_HZ, SCALES_HZ, WINDOW

TIME_S = np.arange(WINDOW) / RATE_HZ
EDGE_S = 1.5


def signals() -> dict[str, np.ndarray]:
    click = np.zeros(WINDOW)
    click[12003] = 1.0
    sweep = np.sin(2 * np.pi * (20 * TIME_S + (900 - 20) / 12 * TIME_S**2))
    noise = np.random.default_rng(0).standard_normal(WINDOW)
    return {"noise": noise, "chirp": sweep, "click": click}


def as_input(signal: np.ndarray) -> torch.Tensor:
    return torch.tensor(signal, dtype=torch.float32)[None, None, None]


def closed_form(signal: np.ndarray, frequency_hz: float, instants_s: np.ndarray) -> np.ndarray:
    """Float64 correlation with psi_f at each instant, out to nine standard deviations."""
    reach = 9 * 6 / (2 * np.pi * frequency_hz)
    found = []
    for instant in instants_s:
        near = np.abs(TIME_S - instant) <= reach
        wavelet = morlet(TIME_S[near] - instant, frequency_hz, 6.0)
        found.append(np.sum(signal[near] * np.conj(wavelet)) / RATE_HZ)
    return np.array(found)


@pytest.fixture(scope="module")
def bank() -> MultiRateBank:
    return MultiRateBank(SCALES_HZ, RATE_HZ, frames_per_s=FRAMES_PER_S)


@pytest.mark.parametrize("kind", ["noise", "chirp", "click"])
def test_coefficients_equal_the_closed_form_away_from_the_edges(
    bank: MultiRateBank, kind: str
) -> None:
    signal = signals()[kind]
    largest, error = 0.0, 0.0
    for octave, times_s, coefficients in bank.coefficients(as_input(signal)):
        inner = np.flatnonzero((times_s > EDGE_S) & (times_s < 6 - EDGE_S))
        chosen = inner[:: max(1, len(inner) // 150)]
        for row, frequency_hz in enumerate(octave.frequencies_hz):
            want = closed_form(signal, frequency_hz, times_s[chosen])
            got = coefficients[0, row, chosen].numpy()
            largest = max(largest, np.abs(want).max())
            error = max(error, np.abs(want - got).max())
    assert error / largest <= 5e-5


def test_beyond_its_documented_edge_a_coefficient_does_not_know_where_the_window_ends(
    bank: MultiRateBank,
) -> None:
    long = np.random.default_rng(5).standard_normal(2 * WINDOW)
    inside = long[WINDOW // 2 : WINDOW // 2 + WINDOW]
    pairs = zip(bank.coefficients(as_input(long)), bank.coefficients(as_input(inside)), strict=True)
    for (_, _, wide), (octave, times_s, narrow) in pairs:
        skipped = (wide.shape[-1] - narrow.shape[-1]) // 2
        wanted = wide[..., skipped : skipped + narrow.shape[-1]]
        for row, frequency_hz in enumerate(octave.frequencies_hz):
            edge = edge_s(frequency_hz, 6.0, RATE_HZ)
            clear = (times_s > edge) & (times_s < 6 - edge)
            error = (wanted - narrow)[0, row, clear].abs().max()
            assert float(error) <= 5e-5 * float(wanted.abs().max())
    assert max(edge_s(f, 6.0, RATE_HZ) for f in SCALES_HZ) <= EDGE_S


def test_a_sine_of_amplitude_one_has_magnitude_one(bank: MultiRateBank) -> None:
    for frequency_hz in (SCALES_HZ[0], SCALES_HZ[13], SCALES_HZ[-1]):
        power = bank(as_input(np.sin(2 * np.pi * frequency_hz * TIME_S)))
        middle = power[0, SCALES_HZ.index(frequency_hz), 0, 150]
        assert float(middle) == pytest.approx(1.0, abs=2e-3)


def test_a_click_peaks_in_the_same_frame_in_every_octave(bank: MultiRateBank) -> None:
    centre = 151 * RATE_HZ // FRAMES_PER_S + RATE_HZ // FRAMES_PER_S // 2
    click = np.zeros(WINDOW)
    click[centre] = 1.0
    power = bank(as_input(click))[0, :, 0].numpy()
    frames = np.arange(power.shape[1])
    assert (power.argmax(axis=1) == 151).all()
    balance = (power * frames).sum(axis=1) / power.sum(axis=1)
    assert np.abs(balance - 151).max() < 0.05


def test_averaged_power_follows_the_power_of_every_sample(bank: MultiRateBank) -> None:
    signal = as_input(signals()["noise"])
    dense = SingleRateBank.morlet(SCALES_HZ, RATE_HZ, 6.0)(signal)[0, :, 0].numpy()
    power = dense[:32] ** 2 + dense[32:] ** 2
    frame = RATE_HZ // FRAMES_PER_S
    want = power.reshape(32, -1, frame).mean(axis=2)[:, 75:-75]
    got = bank(signal)[0, :, 0].numpy()[:, 75:-75]
    ratio_db = 10 * np.log10((want**2).sum(axis=1) / ((want - got) ** 2).sum(axis=1))
    assert ratio_db.min() > 20
    assert ratio_db[:7].min() > 35


def test_pywavelets_own_taps_give_its_own_transform() -> None:
    signal = signals()["chirp"][:4000].astype(np.float32)
    wavelet, rate = pywt.ContinuousWavelet("cmor1.5-1.0"), 1.0
    for scale in (2.0, 7.5, 40.0):
        want, _ = pywt.cwt(signal.astype(np.float64), [scale], wavelet, rate)
        kernel = pywt_kernel(wavelet, scale)
        bank = SingleRateBank(kernel.real[None], kernel.imag[None], hop=1)
        parts = bank(as_input(signal))[0, :, 0].numpy()
        got = parts[0] + 1j * parts[1]
        assert np.abs(got - want[0]).max() <= 1e-5 * np.abs(want).max()


def pywt_kernel(wavelet: pywt.ContinuousWavelet, scale: float) -> np.ndarray:
    """The correlation kernel that ``pywt.cwt`` amounts to: differences of its integral."""
    integral, grid = pywt.integrate_wavelet(wavelet, precision=12)
    integral = np.conj(integral)
    step = grid[1] - grid[0]
    picks = (np.arange(scale * (grid[-1] - grid[0]) + 1) / (scale * step)).astype(int)
    taps = integral[picks[picks < integral.size]][::-1]
    convolved = -np.sqrt(scale) * np.diff(taps, prepend=0, append=0)
    kernel = convolved[::-1]
    return kernel if kernel.size % 2 else np.append(kernel, 0)


def test_aliased_scales_are_refused_at_construction() -> None:
    with pytest.raises(InputError, match="1 of 2 scales lie above 2000 Hz"):
        MultiRateBank([2000.0, 100.0], RATE_HZ)
    with pytest.raises(InputError, match="half the sample rate"):
        SingleRateBank.morlet([3000.0], RATE_HZ, 6.0)
    assert SingleRateBank.morlet([3000.0], RATE_HZ, 6.0, allow_aliased_scales=True) is not None


def test_rates_that_do_not_make_whole_frames_are_refused() -> None:
    with pytest.raises(InputError, match="does not make 50 frames/s"):
        MultiRateBank([800.0, 10.0], RATE_HZ)


def test_the_decimator_is_half_band_and_linear_phase() -> None:
    taps = half_band()
    assert np.allclose(taps, taps[::-1])
    side = np.arange(taps.size) - taps.size // 2
    assert np.abs(taps[(side % 2 == 0) & (side != 0)]).max() < 1e-16
    assert taps.sum() == pytest.approx(1.0, abs=1e-12)
