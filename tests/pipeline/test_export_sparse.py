"""Zeros from the module to the shipped file: stored where that is smaller, or not, as asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tinyml import build_bundle
from tinyml.core.errors import UsageError
from tinyml.pipeline.inspect_sparse import inspect_sparse

SAMPLE = {"image": np.zeros((1, 16, 8, 8), np.float32)}


def pruned() -> nn.Module:
    """Two pointwise convolutions, 95% of their weights zero."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(16, 96, 1), nn.ReLU(), nn.Conv2d(96, 96, 1))
    for name in ("0", "2"):
        weight = network.get_submodule(name).weight
        with torch.no_grad():
            weight.mul_(torch.rand_like(weight) > 0.95)  # type: ignore[operator, arg-type]
    return network.eval()


@pytest.mark.parametrize(
    ("sparse", "stored"), [("auto", 2), pytest.param("off", 0, marks=pytest.mark.slow)]
)
def test_a_bundle_says_how_many_weights_are_stored_sparse(
    tmp_path: Path, sparse: str, stored: int
) -> None:
    bundle = build_bundle(pruned(), SAMPLE, out=tmp_path / "b", formats=("tflite",), sparse=sparse)
    (model,) = bundle.models
    assert model.passes.get("store_sparse", 0) == stored
    assert bundle.parity.passed
    lint: list[Any] = bundle.facts.lint[model.path]
    (cost,) = [row.cost for row in lint if row.rule == "pruned_but_dense"]
    assert ("not stored" in cost) == (sparse == "auto")


def test_another_way_to_store_zeros_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown value 'on' of `sparse`"):
        build_bundle(pruned(), SAMPLE, out=tmp_path / "b", sparse="on")


def mobile(between: nn.Module) -> nn.Module:
    """An entry, two pruned pointwise convolutions with ``between`` between them, an average."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 16, 3, stride=2, padding=1),
        nn.Conv2d(16, 96, 1),
        between,
        nn.Conv2d(96, 96, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )
    for name in ("1", "3"):
        weight = network.get_submodule(name).weight
        with torch.no_grad():
            weight.mul_(torch.rand_like(weight) > 0.95)  # type: ignore[operator, arg-type]
    return network.eval()


@pytest.mark.parametrize(
    ("between", "stored"),
    [pytest.param(nn.ReLU(), 2, marks=pytest.mark.slow), (nn.MaxPool2d(2), 0)],
)
def test_zeros_that_a_board_would_compute_wrongly_are_stored_dense(
    tmp_path: Path, between: nn.Module, stored: int
) -> None:
    said: list[str] = []
    sample = {"image": np.zeros((1, 3, 32, 32), np.float32)}
    bundle = build_bundle(
        mobile(between),
        sample,
        out=tmp_path / "b",
        formats=("tflite",),
        report=lambda told: said.append(getattr(told, "text", "")),
    )
    (model,) = bundle.models
    assert model.passes.get("store_sparse", 0) == stored
    assert any("would compute it wrongly on ARM" in line for line in said) == (stored == 0)
    found = inspect_sparse(bundle.folder, bundle.target)
    told: Any = bundle.facts.sparse or {}
    assert [own["uses_sparse_kernels"] for own in told.values()] == [True] * (stored == 2)
    assert (found.uses_sparse_kernels, found.runs_wrong) == (stored == 2, False)
    lint: list[Any] = bundle.facts.lint[model.path]
    (row,) = [row for row in lint if row.rule == "pruned_but_dense"]
    assert ("sparse kernels" in row.cost) == (stored == 2)
