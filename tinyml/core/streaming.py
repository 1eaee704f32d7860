"""How a bundle listens to a stream: a stateful front end, and a head over its last frames."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from tinyml.core.errors import InputError

# The two graphs; `tinyml export --streaming` puts the bundle of each into a folder of its name.
FRONT_END, HEAD = "front-end", "head"
# Names in their signatures: the one input that is not a state, and what goes between the two.
SAMPLES, FRAMES = "samples", "frames"


@dataclass(frozen=True, slots=True)
class Streaming:
    """The streaming graphs of a bundle, each in a bundle of its own, and how to run them.

    front_end        folder, in the bundle, of the stateful front end. Inputs: ``samples``
                     [1, granule_samples], full scale 1, and its states, which are zeros at the
                     start of a stream. Outputs: ``frames`` [1, granule_frames, scales] and the
                     states, which become inputs of the next call (``states`` of its signature)
    head             folder of the stateless head. Input: ``frames`` [1, ring_frames, scales], the
                     oldest first. Output: the first output of the bundle's own signature
    rate_hz          sample rate of the stream
    granule_samples  samples of one call of the front end
    frame_rate_hz    frames in a second of the stream
    delay_frames     that many frames, the first of a stream, are of the time before it: drop them.
                     The frame of the time t comes out ``delay_frames`` frames late
    flush_samples    zeros after the last sample of a stream that bring out its last frame
    ring_frames      frames that the head looks at
    hop_frames       frames between two decisions; the first comes with a full ring. As many as
                     between two windows of ``tinyml predict``
    """

    rate_hz: int
    granule_samples: int
    frame_rate_hz: float
    delay_frames: int
    flush_samples: int
    ring_frames: int
    hop_frames: int
    front_end: str = f"streaming/{FRONT_END}"
    head: str = f"streaming/{HEAD}"

    def __post_init__(self) -> None:
        if self.delay_frames < 0:
            raise InputError(f"streaming: the delay is {self.delay_frames} frames")
        positive = (self.rate_hz, self.granule_samples, self.frame_rate_hz, self.ring_frames)
        if min(*positive, self.hop_frames) <= 0:
            raise InputError("streaming: a rate, granule, ring or hop is not positive")
        frames = self.granule_samples * self.frame_rate_hz / self.rate_hz
        if frames < 1 or frames != int(frames) or self.granule_samples % int(frames):
            raise InputError(
                f"streaming: {self.granule_samples} samples at {self.rate_hz} Hz are {frames:g} "
                f"frames at {self.frame_rate_hz:g} Hz, not a whole number"
            )
        if self.flush_samples != self.delay_frames * self.frame_samples:
            raise InputError(
                f"streaming: a flush of {self.flush_samples} samples is not the delay, "
                f"{self.delay_frames} frames of {self.frame_samples} samples"
            )
        for folder in (self.front_end, self.head):
            path = PurePosixPath(folder)
            if path.is_absolute() or not path.parts or ".." in path.parts:
                raise InputError(f"streaming: '{folder}' is not a folder in the bundle")

    @property
    def granule_frames(self) -> int:
        """Frames that one call of the front end gives."""
        return round(self.granule_samples * self.frame_rate_hz / self.rate_hz)

    @property
    def frame_samples(self) -> int:
        """Samples between two frames."""
        return self.granule_samples // self.granule_frames

    @property
    def graphs(self) -> tuple[str, str]:
        """Folders of the two bundles in the bundle."""
        return self.front_end, self.head
