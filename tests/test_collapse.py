"""docs/collapse.md, as far as it takes seconds: one scale for uneven weights, found and cured."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinyml.core.export_job import export_job
from tinyml.pipeline.export import export

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
def collapse(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The example as a module."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import collapse

    yield collapse
    sys.modules.pop("collapse")


@pytest.mark.slow
def test_a_mobilenet_that_one_scale_a_weight_ruins_is_found_ranked_and_cured(
    tmp_path: Path, collapse: Any
) -> None:
    collapse.write_data(tmp_path)
    told: list[str] = []
    job = export_job(
        model=f"{EXAMPLES / 'collapse.py'}:uneven_weights",
        target="rpi",
        out=tmp_path / "out",
        formats=("tflite",),
        sample=tmp_path / "sample.npz",
        calibration=tmp_path / "calibration.npz",
        precision="w8a8-static",
        weight_scales="per-tensor",
        auto_precision=True,
    )
    made = export(job, lambda event: told.append(getattr(event, "text", "")))
    lint = [" ".join(text.split()) for text in told if text.startswith("lint: ")]
    assert any("collapsed_classes" in line and "become 1.0" in line for line in lint)
    assert any("uneven_weights at block2.depthwise its" in line for line in lint)
    ranking = [line for line in told if line.startswith("tflite:   ")]
    assert ranking[0].startswith("tflite:   block2.depthwise: alone -")
    kept = [line for line in told if line.endswith("stays in float32 from here on")]
    assert kept == ["block2.depthwise stays in float32 from here on"]
    (model,) = made.models
    assert model.plan.weight_scales == "per-tensor"
    classes = made.facts.classes[model.path].pairs
    moved = sum(count for want, got, count in classes if want != got)
    assert moved <= 0.05 * sum(count for *_, count in classes)


@pytest.mark.parametrize("name", ["uneven_weights", "uneven_activations"])
def test_the_networks_of_the_example_tell_the_classes_apart_in_float(
    name: str, collapse: Any
) -> None:
    import torch

    images, kinds = collapse.gratings(200, seed=3)
    with torch.no_grad():
        logits = getattr(collapse, name)()(torch.from_numpy(images)).numpy()
    assert collapse.accuracy(logits, kinds) > 0.95
    assert np.bincount(logits.argmax(-1)).min() > 30
