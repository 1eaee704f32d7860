"""Zeros from the module to the shipped file: stored where that is smaller, or not, as asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tinyml import build_bundle
from tinyml.errors import UsageError

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


@pytest.mark.parametrize(("sparse", "stored"), [("auto", 2), ("off", 0)])
def test_a_bundle_says_how_many_weights_are_stored_sparse(
    tmp_path: Path, sparse: str, stored: int
) -> None:
    bundle = build_bundle(pruned(), SAMPLE, out=tmp_path / "b", formats=("tflite",), sparse=sparse)
    (model,) = bundle.models
    assert model.passes.get("store_sparse", 0) == stored
    assert bundle.parity.passed
    lint: list[Any] = bundle.facts["lint"][model.path]
    (cost,) = [row["cost"] for row in lint if row["rule"] == "zeros_run_dense"]
    assert ("not stored" in cost) == (sparse == "auto")


def test_another_way_to_store_zeros_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown way to store zeros 'on'"):
        build_bundle(pruned(), SAMPLE, out=tmp_path / "b", sparse="on")
