"""The picture of a failed export: drawn from rows alone, the same each time."""

from __future__ import annotations

from pathlib import Path

import pytest

from tinyml.core.bundle import Parity, StageParity
from tinyml.pages.divergence import LEAST, MOST, divergence_plot, share


def row(engine: str, stage: str, error: float | None, case: str = "random") -> StageParity:
    verdict = "pass" if error is not None and error <= 1e-4 else "fail"
    bound = None if error is None else 1e-4
    noise = None if not error else 60.0
    return StageParity(engine, case, stage, verdict, "engine", error, bound, noise)


PARITY = Parity(
    (
        row("litert", "front", 1e-6),
        row("litert", "body", 1e-2),
        row("litert", "head", None),
        row("litert+xnnpack", "y", 0.0),
        StageParity("onnxruntime", "random", "front", "fused away", "engine"),
        row("onnxruntime", "body", 2e-6),
    )
)


def test_the_same_rows_give_the_same_picture(tmp_path: Path) -> None:
    divergence_plot(PARITY, tmp_path / "a.png")
    divergence_plot(PARITY, tmp_path / "b.png")
    content = (tmp_path / "a.png").read_bytes()
    assert content.startswith(b"\x89PNG")
    assert content == (tmp_path / "b.png").read_bytes()


def test_a_passing_export_and_a_deep_network_can_be_drawn(tmp_path: Path) -> None:
    rows = tuple(row("litert", f"stage.{i}", 1e-6) for i in range(120))
    divergence_plot(Parity(rows), tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("error", "wanted"), [(None, MOST), (0.0, LEAST), (5e-5, 0.5), (1e9, MOST), (1e-30, LEAST)]
)
def test_a_share_is_kept_on_the_axis(error: float | None, wanted: float) -> None:
    assert share(row("litert", "x", error)) == pytest.approx(wanted)


def test_the_first_divergence_is_the_earliest_stage_on_any_case() -> None:
    rows = (
        row("litert", "front", 1e-6),
        row("litert", "head", 1e-2),
        row("litert", "front", 1e-2, case="silence"),
        row("onnxruntime", "front", 1e-2),
    )
    first = Parity(rows).first_divergence
    assert first is not None
    assert (first.engine, first.stage, first.case) == ("litert", "front", "silence")
