"""The multi-rate front end against one bank at the full rate: ``python benchmarks/front_end.py``.

Both make 50 frames/s of averaged power from 6 s at 4 kHz over 32 scales of 25-800 Hz. They
are exported as `tinyml export` does and timed in fresh, interleaved, one-thread processes.
"""

from __future__ import annotations

import sys
import tempfile
from math import nan
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tinyml.core.spec import Signature, TensorSpec
from tinyml.core.subprocesses import run_child
from tinyml.device.measure import Job, measure, measurements
from tinyml.export.capture.program import capture
from tinyml.models.cost import count_macs
from tinyml.models.cwt import MultiRateBank, SingleRateBank
from tinyml.models.funnelnet import FRAMES_PER_S, RATE_HZ, SCALES_HZ, WINDOW
from tinyml.pipeline.devices.links import open_link
from tinyml.pipeline.formats import all_formats, format_of

HOP = 8
SIGNATURE = Signature(
    (TensorSpec("waveform", (1, 1, 1, WINDOW), rate_hz=RATE_HZ),),
    (TensorSpec("power", (1, 32, 1, WINDOW * FRAMES_PER_S // RATE_HZ)),),
)


class MultiRate(nn.Module):
    """The bank that ships."""

    def __init__(self) -> None:
        super().__init__()
        self.bank = MultiRateBank(SCALES_HZ, RATE_HZ, frames_per_s=FRAMES_PER_S)

    def forward(self, waveform: Tensor) -> dict[str, Tensor]:
        return {"power": self.bank(waveform)}


class SingleRate(nn.Module):
    """Every scale at the full rate, every eighth sample, power averaged."""

    def __init__(self) -> None:
        super().__init__()
        self.bank = SingleRateBank.morlet(SCALES_HZ, RATE_HZ, 6.0, hop=HOP)

    def forward(self, waveform: Tensor) -> dict[str, Tensor]:
        real, imaginary = self.bank(waveform).chunk(2, dim=1)
        power = real * real + imaginary * imaginary
        return {"power": F.avg_pool2d(power, (1, RATE_HZ // FRAMES_PER_S // HOP))}


def main() -> None:
    """Print milliseconds per window and the ratio of medians, per runtime."""
    inputs = {"waveform": np.random.default_rng(0).standard_normal((1, 1, 1, WINDOW), np.float32)}
    with tempfile.TemporaryDirectory() as folder, open_link() as link:
        jobs = []
        for module in (MultiRate().eval(), SingleRate().eval()):
            macs = count_macs(module, SIGNATURE) / WINDOW * RATE_HZ / 1e6
            print(f"{type(module).__name__:<12} {macs:8.2f} MMAC per second of audio")
            jobs += [
                Job(path, format_of(path).runtime, inputs, type(module).__name__)
                for path in export(module, Path(folder))
            ]
        measured = measurements(measure(link, jobs, 5))
    medians = [result.p50_ns or nan for result in measured]
    for result, p50_ns in zip(measured, medians, strict=True):
        print(f"{result.runtime:<12} {result.part:<12} {p50_ns / 1e6:8.3f} ms a window")
    for result, fast, slow in zip(measured[:2], medians[:2], medians[2:], strict=True):
        print(f"{result.runtime:<12} ratio of medians {slow / fast:5.1f}")


def export(module: nn.Module, folder: Path) -> list[Path]:
    """Both formats of ``module``."""
    work = folder / type(module).__name__
    work.mkdir()
    torch.manual_seed(0)
    capture(module, SIGNATURE).save(work)
    files = []
    for known in all_formats():
        files.append(work / f"model{known.suffix}")
        facts, log = work / f"{known.name}.json", work / f"{known.name}.log"
        arguments = [work / "program.pt2", work / "capture.json", files[-1], facts]
        run_child(known.writer, [str(a) for a in arguments], log=log, timeout_s=300)
    return files


if __name__ == "__main__":
    sys.exit(main())
