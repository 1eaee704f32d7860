"""Write a recording of a person that no training has seen: make_recording.py OUT.wav [LABEL]."""

from __future__ import annotations

import sys
from pathlib import Path

import soundfile

from tinyml.models.data import synthetic

UNSEEN = 20_251


def main(out: Path, label: str = "Present") -> None:
    """Take the first recording with ``label`` of a synthetic set with a seed of its own."""
    found = synthetic.load({"persons": 12, "recordings": 1, "seconds": 9.0}, UNSEEN)
    wanted = found.labels.index(label)
    samples, rate_hz = next(r for r in found.recordings if r.label == wanted).load()
    out.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(out, samples, rate_hz, subtype="PCM_16")
    print(f"written: {out} (synthetic, {label})")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
