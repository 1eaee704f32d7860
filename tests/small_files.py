"""Small models with teeth: two inputs, a state, an integer, weights that are not initial."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shared_folder import shared_folder

ONNX_TEXT = """
<ir_version: 8, opset_import: ["" : 18]>
small (float[1, 1, 8] x, float[1, 3] h, int64[2] count)
    => (float[1, 3] p, float[1, 3] h_out, int64[2] next)
<float[3, 1, 3] kernel = {%s}, float[3] bias = {0.5, -0.25, 0.125}, int64[1] last = {2}>
{
    conv = Conv<pads = [1, 0], strides = [2]>(x, kernel, bias)
    relu = Relu(conv)
    mean = ReduceMean<keepdims = 0>(relu, last)
    h_out = Add(mean, h)
    p = Softmax<axis = -1>(h_out)
    next = Add(count, count)
}
"""

TORCH_TEXT = """
import sys, warnings
warnings.simplefilter("ignore")
import torch, litert_torch

class Small(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv1d(1, 3, 3, stride=2)
        self.head = torch.nn.Linear(3, 3)
    def forward(self, x, h, count):
        y = torch.relu(self.conv(torch.nn.functional.pad(x, (1, 0)))).mean(-1)
        h_out = torch.tanh(self.head(y)) + h
        return {"p": torch.softmax(h_out, -1), "h_out": h_out, "next": count + count}

torch.manual_seed(3)
torch.set_num_threads(1)
module = Small().eval()
samples = {"x": torch.randn(1, 1, 8), "h": torch.zeros(1, 3), "count": torch.ones(2).int()}
litert_torch.convert(module, sample_kwargs=samples).export(sys.argv[1])
torch.save(module.state_dict(), sys.argv[2])
"""


def onnx_model() -> Any:
    """conv -> relu -> mean -> + h -> softmax, and an integer that doubles."""
    import onnx.parser

    weights = np.random.default_rng(1).normal(size=9)
    return onnx.parser.parse_model(ONNX_TEXT % ", ".join(f"{w:.6f}" for w in weights))


@pytest.fixture
def onnx_file(tmp_path: Path) -> Path:
    path = tmp_path / "small.onnx"
    path.write_bytes(onnx_model().SerializeToString())
    return path


@pytest.fixture(scope="session")
def tflite_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same kind of network, converted in a child process as export does."""
    if platform.machine() != "x86_64":
        pytest.skip("LiteRT's converter has wheels for x86-64 alone")

    def make(folder: Path) -> None:
        script = folder / "convert.py"
        script.write_text(TORCH_TEXT)
        subprocess.run(
            [sys.executable, str(script), str(folder / "small.tflite"), str(folder / "small.pt")],
            check=True,
            capture_output=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )

    return shared_folder(tmp_path_factory, "tflite_file", make) / "small.tflite"


@pytest.fixture
def onnx_inputs() -> dict[str, np.ndarray[Any, Any]]:
    rng = np.random.default_rng(2)
    return {
        "x": rng.normal(size=(1, 1, 8)).astype(np.float32),
        "h": rng.normal(size=(1, 3)).astype(np.float32),
        "count": np.array([3, 4], np.int64),
    }


@pytest.fixture
def tflite_inputs(onnx_inputs: dict[str, Any]) -> dict[str, Any]:
    return onnx_inputs | {"count": onnx_inputs["count"].astype(np.int32)}
