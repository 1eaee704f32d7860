"""Delegation in inspection and export: told, required, and survived when LiteRT dies."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinyml.core.errors import InputError, UsageError, ValidationError
from tinyml.core.export_job import ExportJob, export_job
from tinyml.pages.summary import inspection_text
from tinyml.pipeline.export import export
from tinyml.pipeline.inspect import inspect
from tinyml.pipeline.steps import delegation
from tinyml.pipeline.steps.delegation import NO_DELEGATE, require_all, summary
from tinyml.runtimes.delegation import Delegation, Undelegated

NET = """
import torch
def build():
    return Net().eval()
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first = torch.nn.Linear(4, 4)
        self.last = torch.nn.Linear(4, 3)
    def forward(self, x):
        return self.last(torch.sign(self.first(x)))
"""


def silent(event: object) -> None:
    """No progress."""


def taken(left: int, unseen: int = 0) -> Delegation:
    """Of twenty operators all but ``left``."""
    rows = tuple(Undelegated("SIGN", f"s{i}", 0, "write it otherwise") for i in range(left))
    return Delegation("XNNPACK", "litert 2.3.0", "x86_64", 20, 20 - left, 100, 90, 2, unseen, rows)


@pytest.fixture
def user(tmp_path: Path) -> Path:
    """A network with an operator that XNNPACK lacks, and a sample."""
    (tmp_path / "net.py").write_text(NET)
    np.savez(tmp_path / "s.npz", x=np.random.default_rng(0).standard_normal((1, 4), np.float32))
    return tmp_path


def job(user: Path, **asked: Any) -> ExportJob:
    """Its export to TFLite alone."""
    chosen: dict[str, Any] = {"formats": ("tflite",), "sample": user / "s.npz"}
    chosen |= {"model": f"{user / 'net.py'}:build", "target": "rpi", "out": user / "out"}
    return export_job(**{**chosen, **asked})


def test_an_export_that_requires_a_delegate_leaves_no_bundle_without_it(user: Path) -> None:
    told: list[str] = []
    with pytest.raises(ValidationError, match=r"not all delegated: .* left: SIGN ") as caught:
        export(
            job(user, require_delegate=True), lambda event: told.append(getattr(event, "text", ""))
        )
    assert caught.value.exit_code == 5
    assert caught.value.hint.startswith("replace it by operators of the delegate's list")
    assert not (user / "out").exists()
    (line,) = [" ".join(text.split()) for text in told if text.startswith("delegation: ")]
    assert line.startswith("delegation: build-fp32.tflite: XNNPACK takes 2 of 3 operators, 100.0%")


def test_a_manifest_says_what_is_taken_and_inspection_measures_the_same(small_bundle: Path) -> None:
    of_bundle = inspect(small_bundle)
    for model in ("funnelnet-fp32.tflite", "funnelnet-fp32.onnx"):
        of_file = inspect(small_bundle / model)["delegation"]
        assert of_bundle[model]["delegation"] == of_file
    assert of_file == {"note": NO_DELEGATE}
    taken_of = of_bundle["funnelnet-fp32.tflite"]["delegation"]
    assert (taken_of["node_share"], taken_of["mac_share"], taken_of["parts"]) == (1.0, 1.0, 1)


def test_what_is_left_is_part_of_the_text() -> None:
    text = inspection_text({"delegation": delegation.report(taken(2))})
    assert "  delegated                  18\n" in text
    assert "  undelegated                2\n" in text
    assert "delegation, undelegated:\n  op    SIGN\n  name  s0\n  macs  0\n  fix   write " in text


def test_a_delegate_cannot_be_required_of_onnx_alone(user: Path) -> None:
    with pytest.raises(UsageError, match="onnxruntime runs every operator itself"):
        export(job(user, require_delegate=True, formats=("onnx",)), silent)


def test_onnx_is_said_to_have_no_delegate(tmp_path: Path) -> None:
    assert delegation.delegation_of(tmp_path / "m.onnx") is None
    assert delegation.report(None) == {"note": NO_DELEGATE}
    require_all({"m.onnx": None})


def test_all_is_required_and_cures_are_told_once() -> None:
    require_all({"m.tflite": taken(0)})
    with pytest.raises(ValidationError, match="takes 18 of 20 operators") as caught:
        require_all({"m.tflite": taken(2)})
    assert caught.value.hint == "write it otherwise"
    with pytest.raises(ValidationError, match="4 in loops and branches, unseen"):
        require_all({"m.tflite": taken(0, unseen=4)})


def test_a_long_list_of_what_is_left_is_cut() -> None:
    assert summary(taken(9)).endswith("SIGN 's5', 3 more")


def test_a_file_that_litert_refuses_is_inspected_and_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tinyml.pipeline import inspect as inspection

    def refused(path: Path) -> None:
        raise InputError(f"{path}: litert refuses it: Flex")

    monkeypatch.setattr(delegation, "delegation_of", refused)
    found = inspection._delegation(tmp_path / "m.tflite")
    assert found["note"] == f"not measured: {tmp_path / 'm.tflite'}: litert refuses it: Flex"


def test_an_onnx_file_is_loaded_before_it_is_told_who_runs_it(tmp_path: Path) -> None:
    """A free size is no reason against it; an operator set of the future and lost data are."""
    from onnx import load, parser

    path, body = tmp_path / "m.onnx", "(float[n] x) => (float[n] y) { y = Relu(x) }"
    for opset, loads in ((18, True), (99, False)):
        header = f'<ir_version: 8, opset_import: ["" : {opset}]> g '
        path.write_bytes(parser.parse_model(header + body).SerializeToString())
        found = inspect(path)
        assert (found["delegation"] == {"note": NO_DELEGATE}) == loads
    note = (
        rf"not measured: {path}: onnxruntime refuses it: opset 99; onnxruntime \S+ reads up to \d+"
    )
    assert re.fullmatch(note, found["delegation"]["note"])
    weight = "<float[2, 2] w = {1, 2, 3, 4}> { y = MatMul(x, w) }"
    text = f'<ir_version: 8, opset_import: ["" : 18]> g (float[2] x) => (float[2] y) {weight}'
    path.write_bytes(parser.parse_model(text).SerializeToString())
    model = load(path)
    (lost,) = model.graph.initializer
    lost.ClearField("float_data")
    lost.data_location = lost.EXTERNAL
    lost.external_data.add(key="location", value="gone.data")
    path.write_bytes(model.SerializeToString())
    found = inspect(path)
    assert (found["parameters"], found["macs"]) == (4, 4)
    (finding,) = found["lint"]
    assert finding["rule"] == "missing_data"
    assert "'w' lies in another file" in finding["cost"]
    assert "refuses" in found["delegation"]["note"]
