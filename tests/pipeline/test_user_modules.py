"""A module in memory and a registered name become bundles."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinyml.core.errors import ValidationError

# torch 2.13 warns about its own use of LeafSpec
IGNORED = r"ignore:`isinstance\(treespec, LeafSpec\)`:FutureWarning"


def silent(_: object) -> None:
    """Nobody listens."""


@pytest.mark.slow
def test_a_registered_name_takes_a_torch_file_and_a_sample(tmp_path: Path) -> None:
    import torch

    from tinyml.core.export_job import export_job
    from tinyml.models.funnelnet import FunnelNet
    from tinyml.pipeline.export import export

    torch.manual_seed(0)
    state = {f"model.{name}": value for name, value in FunnelNet(3).state_dict().items()}
    torch.save(state, tmp_path / "w.pt")
    np.savez(tmp_path / "s.npz", waveform=np.full((1, 24000), 0.1, np.float32))
    job = export_job(
        "funnelnet",
        "rpi",
        tmp_path / "out",
        formats=("onnx",),
        weights=tmp_path / "w.pt",
        strip_prefix="model.",
        sample=tmp_path / "s.npz",
    )
    assert "sample" in {row.case for row in export(job, silent).parity.stages}


@pytest.mark.filterwarnings(IGNORED)
def test_a_module_in_memory_becomes_a_bundle_and_is_as_it_was(
    tmp_path: Path, assert_parity: Callable[..., Any]
) -> None:
    import torch
    from torch import nn

    import tinyml

    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Sigmoid(), nn.Dropout())
    net[1].running_mean.normal_()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    given = {"features": torch.randn(2, 6)}
    bundle = tinyml.build_bundle(net, given, target="rpi", formats=["onnx"], out=tmp_path / "b")
    assert net.training
    assert net[3].training
    assert "forward" not in vars(net)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert bundle.model == "Sequential"
    assert "accuracy was not measured" in bundle.parity.accuracy_note
    assert "Accuracy was not measured" in (tmp_path / "b" / "MODEL_CARD.md").read_text()
    assert not (tmp_path / "b" / "run.py").exists()
    rows = assert_parity(bundle, net, given)
    assert {row.stage for row in rows} >= {"1", "2", "output"}
    file = tmp_path / "b" / "Sequential-fp32.onnx"
    assert {row.stage for row in assert_parity(file, net, {"a case": given})} == {"output"}
    assert assert_parity(file, net.eval(), given)
    with torch.no_grad():
        answer = net(given["features"])
    assert assert_parity(file, {"output": answer}, given)
    with pytest.raises(AssertionError) as caught:
        assert_parity(file, {"output": answer + 0.01}, given)
    text = str(caught.value)
    assert "onnxruntime+fusion differs from the reference at stage 'output'" in text
    assert re.search(r"case 'inputs': error 0.01\d*, bound \d", text)
    net[0].weight.data[0] += 1
    with pytest.raises(AssertionError, match="onnxruntime differs from the reference at stage '0'"):
        assert_parity(bundle, net, given)


@pytest.mark.filterwarnings(IGNORED)
def test_an_engine_whose_metric_is_not_pytorchs_makes_no_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torch import nn

    import tinyml
    from tinyml.pipeline.model_sources import metric

    # PyTorch's before anything is converted, then again, and the engine's.
    answers = iter([0.75, 0.75, 0.25])
    monkeypatch.setattr(metric, "value", lambda *_: next(answers))
    data = {"x": np.zeros((4, 3), np.float32), "targets": np.zeros(4)}
    with pytest.raises(
        ValidationError, match=r"onnxruntime\+fusion: len is 0.25 on 4 samples, 0.75"
    ):
        tinyml.build_bundle(
            nn.Linear(3, 2),
            {"x": np.zeros((1, 3), np.float32)},
            formats=["onnx"],
            out=tmp_path / "b",
            metric=len,
            data=data,
        )
    assert os.listdir(tmp_path) == []
