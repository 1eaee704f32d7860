"""A format and its runtime are a folder and a row each: an export needs no other edit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tinyml import build_bundle
from tinyml.core import registry
from tinyml.core.errors import InputError, UsageError
from tinyml.core.target import System, all_targets
from tinyml.pipeline.formats import format_of
from tinyml.pipeline.verify import verify

SAMPLE = {"x": np.zeros((1, 8), np.float32)}


@pytest.fixture(scope="package", autouse=True)
def every_constant_is_read() -> None:
    """Instead of the one in conftest.py, which knows only the package's own formats."""


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The format's row, its runtime's, and a target that has both."""
    monkeypatch.setitem(registry.FORMATS, "npz", "throwaway_format:NPZ")
    monkeypatch.setitem(registry.RUNTIMES, "matmul", "throwaway_format:MATMUL")
    target = all_targets()["rpi4"]
    target = replace(target, name="own", aliases=(), systems={"own": System({"matmul": "1.0"})})
    monkeypatch.setitem(all_targets(), "own", target)


class Own(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x)


def test_it_is_planned_written_linted_judged_and_verified(known: None, tmp_path: Path) -> None:
    told: list[Any] = []
    bundle = build_bundle(
        Own(), SAMPLE, "own", formats=("npz",), out=tmp_path / "b", name="own", report=told.append
    )
    (model,) = bundle.models
    assert (model.format, model.path, model.minimum_runtime) == ("npz", "own-fp32.npz", "numpy>=2")
    assert {row.engine for row in bundle.parity.stages} >= {"matmul+nothing"}
    assert bundle.parity.passed
    assert bundle.facts.lint == {model.path: ()}
    assert "has no delegate" in bundle.facts.delegation[model.path]["note"]
    assert verify(tmp_path / "b", told.append).parity.passed
    assert format_of(tmp_path / model.path).name == "npz"


def test_without_its_row_it_is_not_known(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown value 'npz' of `formats`"):
        build_bundle(Own(), SAMPLE, "rpi4", formats=("npz",), out=tmp_path / "b")
    with pytest.raises(InputError, match="is not a model file") as caught:
        format_of(tmp_path / "own-fp32.npz")
    assert caught.value.hint == "those end in .onnx, .tflite"
