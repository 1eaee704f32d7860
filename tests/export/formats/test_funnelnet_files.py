"""What the shipped model's graph becomes: every rewrite has work, no layout is undone."""

from __future__ import annotations

import pytest
import torch
from shipped import FORMATS, Shipped, ship
from small_networks import randomised

from tinyml.core.spec import Signature
from tinyml.export import rewrites as torch_rewrites
from tinyml.export.capture.program import capture
from tinyml.export.capture.stage_values import eager_values
from tinyml.export.parity import cases, compare
from tinyml.modelfile import tflite_file
from tinyml.models.funnelnet import FUNNELNET

SIGNATURE: Signature = FUNNELNET.signature(3)


def funnelnet() -> torch.nn.Module:
    """Random weights, normalisations and training statistics."""
    torch.manual_seed(0)
    module = randomised(FUNNELNET.build(3))
    mean = module.get_buffer("normalization.mean")
    mean.copy_(torch.linspace(-3.0, -7.0, mean.numel()).reshape(mean.shape))
    return module


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Shipped]:
    captured = capture(funnelnet(), SIGNATURE, FUNNELNET.stages)
    captured, _ = torch_rewrites.rewrite(captured)
    return {fmt: ship(captured, fmt, tmp_path_factory.mktemp(fmt)) for fmt in FORMATS}


# It has no zeros, so nothing is stored sparse, and neither causal padding nor a mean of maps.
HAS_WORK = {
    "onnx": {
        "fold_constants",
        "drop_zero_bias",
        "drop_unused",
        "share_constants",
        "strip_metadata",
    },
    "tflite": {"strip_metadata", "share_buffers"},
}


@pytest.mark.parametrize("fmt", FORMATS)
def test_the_rewrites_that_it_needs_have_work(fmt: str, files: dict[str, Shipped]) -> None:
    counts = files[fmt].facts.passes
    assert {name for name, count in counts.items() if count} == HAS_WORK[fmt]


def test_the_tflite_file_transposes_nothing(files: dict[str, Shipped]) -> None:
    model = tflite_file.unpack(files["tflite"].path.read_bytes())
    names = [tflite_file.operator_name(code) for code in model.operatorCodes]
    assert "TRANSPOSE" not in names
    assert not [name for name in names if name.startswith("CUSTOM")]


def test_every_stage_is_in_both_files_and_agrees(files: dict[str, Shipped]) -> None:
    module, stages = funnelnet(), FUNNELNET.stages
    for case, inputs in cases(SIGNATURE, seed=0).items():
        want, _ = eager_values(module, inputs, SIGNATURE, stages)
        for fmt in FORMATS:
            rows = compare(fmt, case, want, files[fmt].stages(inputs), stages)
            assert {row.stage: row.verdict for row in rows} == dict.fromkeys(stages, "pass")
