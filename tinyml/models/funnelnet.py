"""FunnelNet: heart murmurs from a scalogram by a squeeze, a bottleneck and an expansion.

"FunnelNet: An End-to-End Deep Learning Framework to Monitor Digital Heart Murmur in
Real-Time", arXiv 2405.09570. Two presets take a waveform and return probabilities:

`funnelnet`        corrected: 6 s at a real rate, scales inside Nyquist as channels of a
                   1-D network, power averaged, level and training mean removed.
`funnelnet-paper`  the published network layer by layer, on the whole recording resampled
                   to 1000 points. The published band-pass runs along an axis of length 1
                   and does nothing: it is left out. Five scales lie above Nyquist, as
                   published. The wavelet is scipy's ``morlet2`` in closed form.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tinyml.core.bundle_facts import Scalogram
from tinyml.core.recording_processor import RecordingProcessor
from tinyml.core.spec import Signature, TensorSpec
from tinyml.core.streaming import FRAMES, Streaming
from tinyml.models.cwt import MultiRateBank, SingleRateBank
from tinyml.models.protocol import ModelEntry, StreamingForm, StreamingGraph
from tinyml.models.streaming_cwt import StreamingScalogram

LABELS = ("Present", "Unknown", "Absent")
PAPER = "arXiv 2405.09570"

RATE_HZ = 4000
WINDOW = 6 * RATE_HZ
HOP = WINDOW // 2
FRAMES_PER_S = 50
SCALES_HZ = tuple(float(f) for f in np.geomspace(800.0, 25.0, 32))
# Power of full scale squared: 16-bit rounding noise has 8e-11, spread over all scales.
POWER_FLOOR = 1e-10

POINTS = 1000
PAPER_WIDTHS = np.geomspace(1.0, 32.0, 32)
PAPER_W0 = 5.0


class LogPower(nn.Module):
    """[...] power -> log10(power + floor): silence is finite, noise below 16 bit is flat."""

    def forward(self, power: Tensor) -> Tensor:
        return torch.log10(power + POWER_FLOOR)


class LevelNormalization(nn.Module):
    """Subtract each scale's training mean, then the window's level: loudness is gone.

    The level is a mean of means: one sum over all 9600 values would lose five digits in
    an engine that adds them one by one, which shows on silence, where all are equal.
    """

    def __init__(self, scales: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(1, scales, 1, 1))

    def fit(self, features: Tensor) -> None:
        """Take the statistics from training features [N, scales, 1, frames]."""
        self.get_buffer("mean").copy_(features.mean(dim=(0, 2, 3), keepdim=True))

    def forward(self, features: Tensor) -> Tensor:
        centred = features - self.get_buffer("mean")
        by_scale = F.avg_pool2d(centred, (1, centred.shape[3]))
        return centred - by_scale.mean(dim=1, keepdim=True)


class Magnitude(nn.Module):
    """[B, 2 scales, 1, time] real and imaginary parts -> magnitude [B, 1, time, scales]."""

    def forward(self, parts: Tensor) -> Tensor:
        real, imaginary = parts.chunk(2, dim=1)
        return torch.sqrt(real * real + imaginary * imaginary).permute(0, 2, 3, 1)


class ClipMinMax(nn.Module):
    """Clip at the training mean + 3 standard deviations, then scale to [0, 1]."""

    def __init__(self) -> None:
        super().__init__()
        for name, value in (("highest", 1.0), ("low", 0.0), ("span", 1.0)):
            self.register_buffer(name, torch.tensor([value]))

    def fit(self, features: Tensor) -> None:
        """Take the statistics from training features [N, 1, time, scales]."""
        highest = features.mean() + 3 * features.std()
        self.get_buffer("highest").fill_(highest)
        self.get_buffer("low").fill_(features.min())
        self.get_buffer("span").fill_(torch.minimum(features.max(), highest) - features.min())

    def forward(self, features: Tensor) -> Tensor:
        clipped = torch.minimum(features, self.get_buffer("highest"))
        return (clipped - self.get_buffer("low")) / self.get_buffer("span")


class SeparableBlock(nn.Sequential):
    """Pointwise, then depthwise over 7 frames, each with batch normalization and ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, (1, 7), (1, stride), (0, 3), groups=outputs, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
        )


class MeanMaxHead(nn.Module):
    """[B, channels, 1, frames] -> logits, from each channel's mean and maximum.

    Pools rather than reductions: LiteRT transposes to channels-first before a reduction.
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.dropout = nn.Dropout(0.2)
        self.linear = nn.Linear(2 * channels, classes)

    def forward(self, maps: Tensor) -> Tensor:
        frames = (1, maps.shape[3])
        pooled = torch.cat([F.avg_pool2d(maps, frames), F.max_pool2d(maps, frames)], dim=1)
        logits: Tensor = self.linear(self.dropout(pooled.flatten(1)))
        return logits


class Funnel(nn.Module):
    """What both presets share: a `tinyml.models.protocol.RecordingClassifier`.

    ``features`` is the fixed front end, ``classify`` the rest; ``forward`` is the one after
    the other.
    """

    normalization: LevelNormalization | ClipMinMax
    squeeze: nn.Module
    bottleneck: nn.Module
    expansion: nn.Module
    logits: nn.Module

    def fit_statistics(self, features: Tensor) -> None:
        """Set the normalization from training features alone."""
        self.normalization.fit(features)

    def classify(self, features: Tensor) -> Tensor:
        """Features -> logits [B, classes]."""
        maps = self.bottleneck(self.squeeze(self.normalization(features)))
        logits: Tensor = self.logits(self.expansion(maps))
        return logits


class FunnelNet(Funnel):
    """`funnelnet`: waveform [B, 24000] at 4 kHz -> probabilities [B, classes]."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.classes = classes
        self.filter_bank = MultiRateBank(SCALES_HZ, RATE_HZ, frames_per_s=FRAMES_PER_S)
        self.scalogram = LogPower()
        self.normalization = LevelNormalization(len(SCALES_HZ))
        self.squeeze = SeparableBlock(len(SCALES_HZ), 24, 1)
        self.bottleneck = SeparableBlock(24, 16, 2)
        self.expansion = nn.Sequential(SeparableBlock(16, 32, 2), SeparableBlock(32, 48, 1))
        self.logits = MeanMaxHead(48, classes)

    def features(self, waveform: Tensor) -> Tensor:
        """[B, time] -> log power [B, scales, 1, frames]: fixed, so training may keep it."""
        power = self.filter_bank(waveform[:, None, None, :])
        scalogram: Tensor = self.scalogram(power)
        return scalogram

    def forward(self, waveform: Tensor) -> dict[str, Tensor]:
        logits = self.classify(self.features(waveform))
        return {"probabilities": torch.softmax(logits, dim=1)}


class FunnelNetHead(Funnel):
    """`FunnelNet` behind its front end: frames [B, frames, scales] -> probabilities [B, classes].

    The modules are those of ``network``, and so are their names.
    """

    def __init__(self, network: FunnelNet) -> None:
        super().__init__()
        for name in HEAD_STAGES:
            self.add_module(name, network.get_submodule(name))
        self.train(network.training)

    def forward(self, frames: Tensor) -> dict[str, Tensor]:
        logits = self.classify(frames[:, None].permute(0, 3, 1, 2))
        return {"probabilities": torch.softmax(logits, dim=1)}


class PaperFunnelNet(Funnel):
    """`funnelnet-paper`: recording resampled to [B, 1000] -> probabilities [B, classes].

    Table of the network in arXiv 2405.09570: 2 x 2 kernels; the last convolution and pool
    are "same", which for an even kernel pads below and to the right.
    """

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.filter_bank = _paper_bank()
        self.scalogram = Magnitude()
        self.normalization = ClipMinMax()
        self.squeeze = nn.Sequential(
            nn.Conv2d(1, 16, 2), nn.Tanh(), nn.MaxPool2d(2), nn.Conv2d(16, 8, 2), nn.MaxPool2d(2)
        )
        self.bottleneck = nn.Sequential(nn.Conv2d(8, 8, 2, groups=8), nn.Tanh(), nn.MaxPool2d(2))
        self.expansion = nn.Sequential(
            nn.Conv2d(8, 8, 2),
            nn.MaxPool2d(2),
            nn.ZeroPad2d((0, 1, 0, 1)),
            nn.Conv2d(8, 16, 2),
            nn.Tanh(),
            _MaxPoolSame(),
        )
        self.logits = nn.Sequential(
            nn.Flatten(), nn.Dropout(0.5), nn.Linear(496, 8), nn.ReLU(), nn.Linear(8, classes)
        )

    def features(self, waveform: Tensor) -> Tensor:
        """[B, 1000] -> magnitudes [B, 1, 1000, 32]."""
        magnitudes: Tensor = self.scalogram(self.filter_bank(waveform[:, None, None, :]))
        return magnitudes

    def forward(self, waveform: Tensor) -> dict[str, Tensor]:
        logits = self.classify(self.features(waveform))
        if logits.shape[1] == 1:
            return {"probabilities": torch.sigmoid(logits)}
        return {"probabilities": torch.softmax(logits, dim=1)}


class _MaxPoolSame(nn.Module):
    """2 x 2 "same" pool of a column [B, C, rows, 1]: a last odd row is pooled alone."""

    def forward(self, maps: Tensor) -> Tensor:
        return F.max_pool2d(maps, (2, 1), ceil_mode=True)


def _paper_bank() -> SingleRateBank:
    """``morlet2`` at every width: pi^(-1/4) s^(-1/2) exp(i w x/s) exp(-(x/s)^2 / 2), |x| <= 5 s."""
    half = int(np.ceil(5 * PAPER_WIDTHS[-1]))
    x = np.arange(-half, half + 1) / PAPER_WIDTHS[:, None]
    kernel = np.exp(1j * PAPER_W0 * x - 0.5 * x**2) * np.pi**-0.25 / np.sqrt(PAPER_WIDTHS[:, None])
    kernel = np.where(np.abs(x) <= 5, np.conj(kernel), 0)
    return SingleRateBank(kernel.real, kernel.imag, hop=1)


def _signature(samples: int, rate_hz: int | None) -> Any:
    def signature(classes: int) -> Signature:
        return Signature(
            inputs=(TensorSpec("waveform", (1, samples), ("batch", "time"), rate_hz=rate_hz),),
            outputs=(TensorSpec("probabilities", (1, classes), ("batch", "label")),),
        )

    return signature


HEAD_STAGES = ("normalization", "squeeze", "bottleneck", "expansion", "logits")
STAGES = ("filter_bank", "scalogram", *HEAD_STAGES)


def _on_a_stream(network: FunnelNet) -> StreamingForm:
    """The bank and the logarithm frame by frame; the rest, level included, over a window."""
    front_end = StreamingScalogram(network.filter_bank, network.scalogram).eval()
    bank, frame = front_end.filter_bank, RATE_HZ // FRAMES_PER_S
    ring = TensorSpec(FRAMES, (1, WINDOW // frame, bank.scales), ("batch", "frame", "scale"))
    return StreamingForm(
        streaming=Streaming(
            rate_hz=RATE_HZ,
            granule_samples=bank.granule_samples,
            frame_rate_hz=float(FRAMES_PER_S),
            delay_frames=bank.delay_frames,
            flush_samples=bank.delay_frames * frame,
            ring_frames=WINDOW // frame,
            hop_frames=HOP // frame,
        ),
        front_end=StreamingGraph(front_end, front_end.signature),
        head=StreamingGraph(
            FunnelNetHead(network),
            Signature(inputs=(ring,), outputs=_signature(WINDOW, RATE_HZ)(network.classes).outputs),
            HEAD_STAGES,
        ),
        frames=lambda waveform: network.features(waveform)[:, :, 0].transpose(1, 2),
    )


FUNNELNET = ModelEntry(
    name="funnelnet",
    paper=PAPER,
    summary="corrected: 6 s at 4 kHz, 32 scales 25-800 Hz as channels, multi-rate front end",
    signature=_signature(WINDOW, RATE_HZ),
    processor=RecordingProcessor(
        labels=LABELS,
        window=WINDOW,
        hop=HOP,
        rate_hz=RATE_HZ,
        min_rate_hz=2000,
    ),
    build=FunnelNet,
    stages=STAGES,
    front_end="normalization",
    scalogram=Scalogram("scalogram", tuple(SCALES_HZ), FRAMES_PER_S),
    domain="heart",
    streaming=_on_a_stream,
)

FUNNELNET_PAPER = ModelEntry(
    name="funnelnet-paper",
    paper=PAPER,
    summary="as published: the whole recording at 1000 points, five of 32 scales above Nyquist",
    signature=_signature(POINTS, None),
    processor=RecordingProcessor(labels=LABELS, window=POINTS, hop=POINTS, rate_hz=0, whole=True),
    build=PaperFunnelNet,
    stages=STAGES,
    front_end="normalization",
    domain="heart",
)
