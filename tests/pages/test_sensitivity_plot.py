"""The pictures of what integers did: drawn from core types alone, the same each time."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from tinyml.core.diagnosis import Confusion, LayerSensitivity, SensitivityAnalysis
from tinyml.core.typed_json import Unbounded
from tinyml.pages.sensitivity_plot import MOST_LAYERS, MOST_NAMES, classes_plot, sensitivity_plot

INF = Unbounded(math.inf)
Layer = LayerSensitivity
LAYERS = (
    Layer("stem", 40.0, -3.0, 1),
    Layer("a_b$", -12.0, INF, 2),
    Layer("t0", INF, 1.0, 1),
)
FEW = SensitivityAnalysis(LAYERS, -4.6)
MANY = SensitivityAnalysis(
    tuple(Layer(f"l{i}", float(i), 20.0, 1) for i in range(3 * MOST_LAYERS)), INF
)
NAN = SensitivityAnalysis((*LAYERS, Layer("fe", -INF, 30.0, 1)), -INF)
PAIRS = Confusion(("cat", "dog"), ((0, 0, 5), (1, 0, 7)))
LARGE = Confusion(tuple(f"c{i}" for i in range(5 * MOST_NAMES)), ((3, 4, 2),))


@pytest.mark.parametrize("found", [{"tflite": FEW}, {"onnx": MANY, "tflite": FEW}, {"tflite": NAN}])
def test_the_same_ranking_gives_the_same_picture(
    tmp_path: Path, found: dict[str, SensitivityAnalysis]
) -> None:
    for name in ("a.png", "b.png"):
        sensitivity_plot(found, tmp_path / name)
    content = (tmp_path / "a.png").read_bytes()
    assert content.startswith(b"\x89PNG")
    assert content == (tmp_path / "b.png").read_bytes()


def test_another_ranking_gives_another_picture(tmp_path: Path) -> None:
    sensitivity_plot({"tflite": FEW}, tmp_path / "a.png")
    sensitivity_plot({"tflite": SensitivityAnalysis(FEW.layers[:2], 1.0)}, tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "b.png").read_bytes()


def test_classes_are_drawn_whether_few_or_many(tmp_path: Path) -> None:
    classes_plot({"a.onnx": PAIRS, "b.tflite": LARGE}, tmp_path / "classes.png")
    assert (tmp_path / "classes.png").read_bytes().startswith(b"\x89PNG")


def test_a_confusion_counts_both_sides_and_what_moved() -> None:
    assert (PAIRS.samples, PAIRS.moved) == (12, 7)
    assert PAIRS.histogram(0) == [5, 7]
    assert PAIRS.histogram(1) == [12, 0]
