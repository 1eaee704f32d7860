"""A continuous front end against windows of their own: ``python benchmarks/streaming.py RUN``.

RUN is a checkpoint of `funnelnet`. `tinyml predict` cuts a recording into windows, and each has its
own edges, outside of which samples count as zero. On a stream the frames of the recording are
computed once, and the head looks at those of each window. Both are computed here in PyTorch: on
synthetic heart sounds and, where TINYML_DATA holds them, on recordings of CirCor.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tinyml.core import checkpoint, registry
from tinyml.core.recording_processor import RecordingProcessor, recording_processor, resample
from tinyml.core.recording_processor import window_starts as starts_of
from tinyml.core.spec import zeros
from tinyml.core.streaming import FRAMES, SAMPLES
from tinyml.models.data.recordings import Recording
from tinyml.models.protocol import StreamingForm
from tinyml.models.training.run import load_module
from tinyml.pipeline.model_sources.entries import entry_of

RECORDINGS = 12
# In log10 of power: 0.01 dB.
CLEAR = 1e-3
EDGE = 12


@dataclass(slots=True)
class Differences:
    """An entry a window or recording; ``inner``: of frames to those of one bank over all."""

    frames: list[int] = field(default_factory=list)
    windows: list[float] = field(default_factory=list)
    recordings: list[float] = field(default_factory=list)
    changed: int = 0
    inner: float = 0.0

    def show(self, title: str) -> None:
        """Print them."""
        print(f"{title}: {len(self.recordings)} recordings, {len(self.windows)} windows")
        print(
            f"  frames of a window that differ by more than {CLEAR:g} in log10: median "
            f"{np.median(self.frames):.0f}, at most {max(self.frames)}"
        )
        for what, found in (("window", self.windows), ("recording", self.recordings)):
            median, largest = np.median(found), max(found)
            print(f"  probability of a {what}: median {median:.1e}, largest {largest:.1e}")
        print(f"  labels that change: {self.changed} of {len(self.recordings)}")
        print(f"  stream against one bank over the recording, without edges: {self.inner:.1e}")


def main(run: Path) -> None:
    """Print the differences on each set."""
    torch.set_num_threads(1)
    saved = checkpoint.load(run)
    entry = entry_of(saved)
    assert entry.streaming is not None, f"{entry.name} has no form for a stream"
    module = load_module(entry, saved)
    form, processor = entry.streaming(module), recording_processor(saved.processor)
    for name in ("synthetic", *(["circor"] if "TINYML_DATA" in os.environ else [])):
        data = registry.load("data set", name).load({}, 0).recordings
        places = np.linspace(0, len(data) - 1, RECORDINGS).astype(int)
        with torch.no_grad():
            compare(module, form, processor, [data[i] for i in places]).show(name)


def compare(
    module: Any, form: StreamingForm, processor: RecordingProcessor, recordings: Iterable[Recording]
) -> Differences:
    """Windows of their own against the stream, on ``recordings``."""
    found, own = Differences(), form.streaming
    for recording in recordings:
        samples, rate_hz = recording.load()
        windows = torch.from_numpy(processor.preprocess(samples, rate_hz))
        whole = torch.from_numpy(resample(samples, Fraction(own.rate_hz, rate_hz)))
        frames = streamed(form, whole)
        edgeless = slice(EDGE, len(frames) - EDGE)
        error = (form.frames(whole[None])[0][edgeless] - frames[edgeless]).abs().max()
        found.inner = max(found.inner, float(error))
        starts = np.array(starts_of(len(whole), processor.window, processor.hop))
        rings = torch.stack([frames[n : n + own.ring_frames] for n in starts // own.frame_samples])
        differs = (rings - form.frames(windows)).abs().amax(dim=2) > CLEAR
        # The last window ends with the recording: it may start within a frame.
        found.frames += differs.sum(dim=1)[starts % own.frame_samples == 0].tolist()
        want = module(windows)["probabilities"].numpy()
        got = form.head.module(rings)["probabilities"].numpy()
        found.windows += np.abs(want - got).max(axis=1).tolist()
        of_windows, of_stream = processor.aggregate(want), processor.aggregate(got)
        found.recordings.append(float(np.abs(of_windows - of_stream).max()))
        found.changed += processor.postprocess(of_windows) != processor.postprocess(of_stream)
    return found


def streamed(form: StreamingForm, samples: Tensor) -> Tensor:
    """Frames [frames, scales] of a recording, granule by granule, flush included."""
    own, graph = form.streaming, form.front_end
    states = {name: torch.from_numpy(array) for name, array in zeros(graph.signature).items()}
    given = torch.cat([samples, torch.zeros(own.flush_samples)])
    found = []
    for granule in given.unfold(0, own.granule_samples, own.granule_samples):
        outputs = graph.module(**{**states, SAMPLES: granule[None]})
        states |= {pair.input: outputs[pair.output] for pair in graph.signature.states}
        found.append(outputs[FRAMES][0])
    return torch.cat(found)[own.delay_frames :]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
