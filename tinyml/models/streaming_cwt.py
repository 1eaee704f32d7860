"""The multi-rate bank on a stream: a granule of samples in, its frames out, states carried on.

Every octave keeps the last samples of its own rate that a frame to come may need. With them a
convolution without padding computes what `MultiRateBank` computes over the whole signal:

    heard  = history + new samples        new samples: the granule, or the octave above decimated
    frames = power of heard at the octave's lag
    history' = the end of heard

An octave of half the rate needs twice the time on both sides of a frame, so its frames come out
later. Those of the faster octaves wait (``held``) until the frames of all octaves are of the same
time: ``delay_frames`` later than the granule that they are of.

All states are zeros at the start: the signal before is silence. The whole-signal bank also takes
the *decimated* signals as zero there and after the end, so that the first and the last frames
differ from it; in between both are the same to rounding (docs/streaming.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tinyml.core.spec import Signature, StatePair, TensorSpec
from tinyml.core.streaming import FRAMES, SAMPLES
from tinyml.models.cwt import HALF_BAND_TAPS, MultiRateBank, OctaveBank

# Samples that the decimator looks ahead, at the rate of its input.
AHEAD = HALF_BAND_TAPS // 2
# The output of this and a state's name is what the state is at the next call.
NEXT = "next_"


@dataclass(frozen=True, slots=True)
class OctaveStream:
    """How an octave runs on a stream; in samples of its own rate, or frames where it says so.

    samples   new ones in a granule
    late      frames that its newest frame is behind the granule
    before    samples before the new ones that its convolution begins at
    decimated_before  the same of the decimator behind it; 0: there is none
    """

    index: int
    scales: int
    samples: int
    late: int
    before: int
    decimated_before: int

    @property
    def history(self) -> int:
        """Samples that are kept."""
        return max(self.before, self.decimated_before)

    @property
    def history_name(self) -> str:
        """Name of the state of ``history`` samples."""
        return f"history_{self.index}"

    @property
    def held_name(self) -> str:
        """Name of the state of frames that wait for those of slower octaves."""
        return f"held_{self.index}"


def octave_streams(bank: MultiRateBank, granule_frames: int) -> tuple[OctaveStream, ...]:
    """The octaves of ``bank`` for granules of ``granule_frames`` frames, fastest first."""
    found = []
    lag = 0  # samples of its own rate that an octave's newest one is behind the stream
    for place, octave_bank in enumerate(bank.octaves):
        assert isinstance(octave_bank, OctaveBank)
        frame = octave_bank.octave.instants * octave_bank.hop
        late = -(-(octave_bank.side + lag) // frame)
        # The octave below needs AHEAD samples more than the middle of each window.
        next_lag = -(-(lag + AHEAD - 1) // 2)
        last = place == len(bank.octaves) - 1
        found.append(
            OctaveStream(
                index=octave_bank.octave.index,
                scales=len(octave_bank.octave.frequencies_hz),
                samples=frame * granule_frames,
                late=late,
                before=frame * late + octave_bank.side - lag,
                decimated_before=0 if last else 2 * next_lag + AHEAD - lag,
            )
        )
        lag = next_lag
    return tuple(found)


class StreamingBank(nn.Module):
    """``bank`` on a stream, ``granule_frames`` frames a call; it shares its taps.

    granule_samples, delay_frames, scales   as in `tinyml.core.streaming.Streaming`
    states   of one stream; all are zeros at its start
    """

    def __init__(self, bank: MultiRateBank, granule_frames: int = 1) -> None:
        super().__init__()
        self.bank = bank
        self.octaves = octave_streams(bank, granule_frames)
        self.granule_frames = granule_frames
        self.granule_samples = self.octaves[0].samples
        self.delay_frames = max(octave.late for octave in self.octaves)
        self.scales = sum(octave.scales for octave in self.octaves)

    @property
    def states(self) -> tuple[TensorSpec, ...]:
        """``history_K`` [1, samples] of octave K, then ``held_K`` [1, frames, scales] of power."""
        histories = [
            TensorSpec(own.history_name, (1, own.history), ("batch", "time"))
            for own in self.octaves
        ]
        held = [
            TensorSpec(own.held_name, (1, self._held(own), own.scales), ("batch", "frame", "scale"))
            for own in self.octaves
            if self._held(own)
        ]
        return (*histories, *held)

    def forward(
        self, samples: Tensor, states: Mapping[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """[B, granule_samples] -> power [B, granule_frames, scales], and the next states."""
        signal, frames, after = samples[:, None, None, :], [], {}
        for octave_bank, own in zip(self.bank.octaves, self.octaves, strict=True):
            assert isinstance(octave_bank, OctaveBank)
            heard = torch.cat([states[own.history_name][:, None, None, :], signal], dim=3)
            after[own.history_name] = heard[:, 0, 0, own.samples :]
            reach = own.samples + 2 * octave_bank.side
            window = _cut(heard, own.history - own.before, reach)
            parts = F.conv2d(window, octave_bank.get_buffer("taps"), stride=(1, octave_bank.hop))
            power = octave_bank.power(parts)[:, :, 0].transpose(1, 2)
            if self._held(own):
                waiting = torch.cat([states[own.held_name], power], dim=1)
                power = waiting[:, : self.granule_frames]
                after[own.held_name] = waiting[:, self.granule_frames :]
            frames.append(power)
            if own.decimated_before:
                reach = own.samples + HALF_BAND_TAPS - 2
                window = _cut(heard, own.history - own.decimated_before, reach)
                signal = F.conv2d(window, self.bank.get_buffer("half_band"), stride=(1, 2))
        return torch.cat(frames, dim=2), after

    def _held(self, own: OctaveStream) -> int:
        """Frames of an octave that wait for those of the slowest one."""
        return self.delay_frames - own.late


class StreamingScalogram(nn.Module):
    """A front end that `tinyml.core.streaming` describes: samples and states by name.

    ``scalogram`` makes features of power, value by value.
    """

    def __init__(self, bank: MultiRateBank, scalogram: nn.Module, granule_frames: int = 1) -> None:
        super().__init__()
        self.filter_bank = StreamingBank(bank, granule_frames)
        self.scalogram = scalogram

    @property
    def signature(self) -> Signature:
        """Inputs, outputs and which output is which state of the next call."""
        bank, states = self.filter_bank, self.filter_bank.states
        samples = TensorSpec(
            SAMPLES, (1, bank.granule_samples), ("batch", "time"), rate_hz=bank.bank.rate_hz
        )
        frames = TensorSpec(
            FRAMES, (1, bank.granule_frames, bank.scales), ("batch", "frame", "scale")
        )
        return Signature(
            inputs=(samples, *states),
            outputs=(frames, *(replace(spec, name=NEXT + spec.name) for spec in states)),
            states=tuple(StatePair(spec.name, NEXT + spec.name) for spec in states),
        )

    def forward(self, samples: Tensor, **states: Tensor) -> dict[str, Tensor]:
        """`StreamingBank`, and the features of its power."""
        power, after = self.filter_bank(samples, states)
        return {FRAMES: self.scalogram(power), **{NEXT + name: own for name, own in after.items()}}


def _cut(heard: Tensor, start: int, length: int) -> Tensor:
    return heard[..., start : start + length]
