"""TinyNet: EfficientNet-B0 made small by resolution first, "Model Rubik's Cube", arXiv 2010.14819.

Repeats are rounded to the nearest, the stem keeps its 32 channels, the top never has fewer
than 1280 (`tinyml.models.scaling`), the side is int(224 r). Presets A to E
are the published (r, w, d); the family `tinynet` takes any, as `tinyml scale` finds them.
"""

from __future__ import annotations

from tinyml.models.efficientnet import EfficientNetArchitecture, scaled_entry
from tinyml.models.protocol import ModelEntry
from tinyml.models.scaling import BASE_SIDE, tinynet_plan

PAPER = "arXiv 2010.14819"
# Letter -> (r, w, d)
PUBLISHED = {
    "a": (0.86, 1.0, 1.2),
    "b": (0.84, 0.75, 1.1),
    "c": (0.825, 0.54, 0.85),
    "d": (0.68, 0.54, 0.695),
    "e": (0.475, 0.51, 0.60),
}


def entry(name: str, summary: str, default: EfficientNetArchitecture) -> ModelEntry:
    """A preset under its registered name."""
    return scaled_entry(name, summary, default, tinynet_plan, paper=PAPER)


def _published(letter: str) -> ModelEntry:
    r, w, d = PUBLISHED[letter]
    summary = f"published: r {r:g}, w {w:g}, d {d:g}"
    return entry(f"tinynet-{letter}", summary, EfficientNetArchitecture(w, d, int(BASE_SIDE * r)))


TINYNET = entry(
    "tinynet", "any resolution, width and depth by TinyNet's rule", EfficientNetArchitecture()
)
TINYNET_A, TINYNET_B, TINYNET_C, TINYNET_D, TINYNET_E = map(_published, PUBLISHED)
