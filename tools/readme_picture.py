"""Redraw README's scalogram: train and export the demonstration, predict one recording.

``python tools/readme_picture.py [BUNDLE]``: with a bundle, training and export are skipped.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from tinyml.core.process import python_module, tied

ROOT = Path(__file__).parents[1]


def main(bundle: str | None = None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        if bundle is None:
            bundle = f"{folder}/bundle"
            tinyml("train", "synthetic", "--out", f"{folder}/run")
            tinyml("export", f"{folder}/run", "--target", "rpi", "--out", bundle)
        wav = f"{folder}/recording.wav"
        drawn = [sys.executable, str(ROOT / "examples" / "make_recording.py"), wav]
        subprocess.run(tied(drawn), check=True)
        tinyml("predict", bundle, wav, "--plot", str(ROOT / "docs" / "recording.png"))


def tinyml(*arguments: str) -> None:
    subprocess.run(tied(python_module("tinyml.cli.main", arguments)), check=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
