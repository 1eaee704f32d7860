"""The plot of a scaling fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from tinyml.pages.scaling_plot import Curve, scaling_plot

MACS = np.geomspace(20e6, 400e6, 20)
CURVE = Curve(
    label="depth",
    macs=MACS,
    mean=np.log10(MACS) - 7,
    half_width=np.full(20, 0.1),
    points_macs=MACS[::5],
    points=np.log10(MACS[::5]) - 7,
    caption="outside of the fit: 4 of 4 in the 95% band, rms 0.001",
)


def test_the_same_fit_gives_the_same_bytes_and_another_band_others(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.png", "b.png", "wide.png")]
    wide = replace(CURVE, half_width=3 * CURVE.half_width)
    for path, curve in zip(paths, (CURVE, CURVE, wide), strict=True):
        scaling_plot([curve, curve], path, title="points.csv")
    first, again, other = (path.read_bytes() for path in paths)
    assert first.startswith(b"\x89PNG")
    assert first == again
    assert first != other
