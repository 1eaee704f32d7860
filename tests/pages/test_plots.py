from __future__ import annotations

import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinyml.core.errors import InputError, MissingExtraError
from tinyml.pages.plots import _edges, curve_plot, scalogram_plot

FREQUENCIES = (400.0, 200.0, 100.0, 50.0)
CURVE = [
    {"epoch": 1, "train_loss": 1.2, "uar": 0.4, "seconds": 30.0},
    {"epoch": 2, "train_loss": 0.9, "uar": 0.6, "seconds": 31.0},
]


def draw(path: Path, scalogram: Any = None, **changes: Any) -> bytes:
    """A scalogram that is loud at 400 Hz only, drawn to ``path``."""
    loud = np.array([0.0, -4, -4, -4])[:, None] + np.zeros(20)
    arguments = {
        "title": "a$b_1.wav",
        "probabilities": {"Present": 0.8, "Absent": 0.2},
        "label": "Present",
    } | changes
    values = loud if scalogram is None else scalogram
    scalogram_plot(values, FREQUENCIES, 10.0, path=path, **arguments)
    return path.read_bytes()


def pixels(path: Path) -> Any:
    from matplotlib.image import imread

    return imread(path)[..., :3]


def test_draws_a_png_and_the_same_one_again(tmp_path: Path) -> None:
    first = draw(tmp_path / "a.png")
    assert first.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", first[16:24])
    assert (width, height) == (1200, 510)
    assert draw(tmp_path / "b.png") == first
    assert b"matplotlib" not in first.lower()


def test_does_not_depend_on_the_users_style(tmp_path: Path) -> None:
    import matplotlib

    first = draw(tmp_path / "a.png")
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "green"}):
        assert draw(tmp_path / "b.png") == first
        assert matplotlib.rcParams["font.size"] == 30


def test_high_frequencies_are_at_the_top_whatever_the_order_of_rows(tmp_path: Path) -> None:
    draw(tmp_path / "a.png")
    picture = pixels(tmp_path / "a.png")[60:420, 150:700].mean(axis=(1, 2))
    assert picture[:50].mean() > picture[-50:].mean() + 0.3


def test_the_picture_follows_values_and_probabilities(tmp_path: Path) -> None:
    first = draw(tmp_path / "a.png")
    assert draw(tmp_path / "b.png", probabilities={"Present": 0.5, "Absent": 0.5}) != first
    assert draw(tmp_path / "c.png", label="Absent") != first
    rng = np.random.default_rng(1)
    assert draw(tmp_path / "d.png", rng.normal(size=(4, 20))) != first


def test_silence_can_be_drawn(tmp_path: Path) -> None:
    assert draw(tmp_path / "a.png", np.full((4, 20), -8.0))


@pytest.mark.parametrize(
    "scalogram", [np.zeros((3, 20)), np.zeros(4), np.zeros((4, 0)), np.full((4, 20), np.nan)]
)
def test_refuses_what_is_no_scalogram(tmp_path: Path, scalogram: Any) -> None:
    with pytest.raises(InputError, match="scalogram"):
        draw(tmp_path / "a.png", scalogram)
    assert not list(tmp_path.iterdir())


def test_rows_meet_half_way_between_their_frequencies() -> None:
    edges = _edges(np.array([100.0, 400.0]))
    assert np.allclose(edges, [50, 200, 800])
    assert np.allclose(_edges(np.array([100.0])), [70.7107, 141.4214])


def test_draws_a_learning_curve_of_losses_and_scores(tmp_path: Path) -> None:
    curve_plot(CURVE, tmp_path / "both.png")
    curve_plot([{"loss": 1.0}], tmp_path / "one.png")
    both, one = pixels(tmp_path / "both.png"), pixels(tmp_path / "one.png")
    assert both.shape[1] == 2 * one.shape[1]


def test_seconds_and_learning_rate_are_not_drawn(tmp_path: Path) -> None:
    curve_plot(CURVE, tmp_path / "a.png")
    more = [row | {"seconds": 99.0, "learning_rate": 0.01, "best": True} for row in CURVE]
    curve_plot(more, tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize("curve", [[], [{"epoch": 1, "note": "x"}]])
def test_refuses_a_curve_with_nothing_to_draw(tmp_path: Path, curve: list[Any]) -> None:
    with pytest.raises(InputError, match="learning curve"):
        curve_plot(curve, tmp_path / "a.png")


def test_names_the_extra_when_matplotlib_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError) as caught:
        draw(tmp_path / "a.png")
    assert caught.value.extra == "report"
