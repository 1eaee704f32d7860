"""The bank on a stream against the bank over the whole signal, and any pieces against others."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from tinyml.core.recording_processor import recording_processor
from tinyml.models.cwt import MultiRateBank
from tinyml.models.funnelnet import FRAMES_PER_S, FUNNELNET, RATE_HZ, SCALES_HZ, FunnelNet, LogPower
from tinyml.models.protocol import StreamingForm
from tinyml.models.streaming_cwt import StreamingBank, StreamingScalogram

FRAME = RATE_HZ // FRAMES_PER_S
# Frames that differ because the whole-signal bank takes decimated signals as zero outside.
EDGE = 12
BOUND = 1.5e-5  # in log10 of power: 0.00015 dB


def noise(frames: int) -> Tensor:
    return 0.25 * torch.randn(frames * FRAME, generator=torch.Generator().manual_seed(3))


def click(frames: int) -> Tensor:
    samples = torch.zeros(frames * FRAME)
    samples[frames * FRAME // 2 + 7] = 1.0
    return samples


@pytest.fixture(scope="module")
def bank() -> MultiRateBank:
    return MultiRateBank(SCALES_HZ, RATE_HZ, frames_per_s=FRAMES_PER_S)


@pytest.fixture(scope="module")
def form() -> StreamingForm:
    torch.manual_seed(0)
    assert FUNNELNET.streaming is not None
    return FUNNELNET.streaming(FunnelNet().eval())


def pieces(samples: Tensor, size: int) -> Iterator[Tensor]:
    """``samples`` as they may arrive."""
    for start in range(0, len(samples), size):
        yield samples[start : start + size]


def streamed(front_end: StreamingScalogram, arriving: Iterator[Tensor]) -> Tensor:
    """Frames [frames, scales] of a stream: a buffer cuts granules; then the flush."""
    own, frames = front_end.filter_bank, []
    kind = own.bank.get_buffer("half_band").dtype
    buffer = torch.zeros(0, dtype=kind)
    states = {spec.name: torch.zeros(spec.shape, dtype=kind) for spec in own.states}
    for piece in (*arriving, torch.zeros(own.delay_frames * FRAME, dtype=kind)):
        buffer = torch.cat([buffer, piece])
        while len(buffer) >= own.granule_samples:
            granule, buffer = buffer[: own.granule_samples], buffer[own.granule_samples :]
            with torch.no_grad():
                outputs = front_end(granule[None], **states)
            frames.append(outputs["frames"][0])
            states = {name: outputs[f"next_{name}"] for name in states}
    return torch.cat(frames)[own.delay_frames :]


@pytest.mark.parametrize("granule_frames", [1, 3])
@pytest.mark.parametrize("samples", [noise(120), click(120)], ids=["noise", "click"])
def test_a_stream_has_the_frames_of_the_whole_signal(
    bank: MultiRateBank, samples: Tensor, granule_frames: int
) -> None:
    front_end = StreamingScalogram(bank, LogPower(), granule_frames)
    with torch.no_grad():
        want = LogPower()(bank(samples[None, None, None]))[0, :, 0].T
    got = streamed(front_end, pieces(samples, 500))
    assert got.shape == want.shape
    inner = slice(EDGE, -EDGE)
    assert (got[inner] - want[inner]).abs().max() <= BOUND


def test_in_float64_a_stream_is_the_whole_signal_to_rounding() -> None:
    exact = MultiRateBank(SCALES_HZ, RATE_HZ, frames_per_s=FRAMES_PER_S).double()
    samples = noise(60).double()
    want = LogPower()(exact(samples[None, None, None]))[0, :, 0].T
    got = streamed(StreamingScalogram(exact, LogPower()), pieces(samples, 500))
    assert (got[EDGE:-EDGE] - want[EDGE:-EDGE]).abs().max() <= 1e-12


def test_pieces_of_any_size_give_the_same_bits(form: StreamingForm) -> None:
    samples = noise(40)[:-33]  # the last frame is not whole
    front_end = form.front_end.module
    want = streamed(front_end, pieces(samples, len(samples)))
    assert len(want) == 39
    for size in (1, 3, 79, 81, 1000):
        assert torch.equal(streamed(front_end, pieces(samples, size)), want), size


def test_the_state_is_small_and_all_of_it_is_used(bank: MultiRateBank) -> None:
    own = StreamingBank(bank)
    assert (own.granule_samples, own.delay_frames) == (80, 12)
    assert sum(int(np.prod(spec.shape)) for spec in own.states) == 683
    zeros = {spec.name: torch.zeros(spec.shape) for spec in own.states}
    silent, _ = own(torch.zeros(1, 80), zeros)
    for spec in own.states:
        power, after = own(torch.zeros(1, 80), {**zeros, spec.name: torch.ones(spec.shape)})
        changed = [name for name, value in after.items() if value.any()]
        assert not torch.equal(power, silent) or changed, spec.name


def test_the_head_over_a_window_of_frames_is_the_network(form: StreamingForm) -> None:
    torch.manual_seed(0)
    network = FunnelNet().eval()
    windows = noise(600).reshape(2, -1)
    with torch.no_grad():
        want = network(windows)["probabilities"]
        got = form.head.module(form.frames(windows))["probabilities"]
    assert torch.equal(got, want)
    assert form.head.signature.inputs[0].shape == (1, 300, 32)


def test_what_the_manifest_says_is_what_the_front_end_takes(form: StreamingForm) -> None:
    own, (samples, *states) = form.streaming, form.front_end.signature.inputs
    assert samples.shape == (1, own.granule_samples)
    assert samples.rate_hz == own.rate_hz
    assert [pair.input for pair in form.front_end.signature.states] == [s.name for s in states]
    assert form.front_end.signature.outputs[0].shape == (1, own.granule_frames, 32)
    processor = recording_processor(FUNNELNET.processor)
    assert own.ring_frames * own.frame_samples == processor.window
    assert own.hop_frames * own.frame_samples == processor.hop
