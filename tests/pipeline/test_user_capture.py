"""What is kept of a user's module as evidence, and what would prove nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tinyml.core.errors import CheckpointError, ExportError, InputError, UsageError, ValidationError
from tinyml.core.spec import Array
from tinyml.export.weights import check_weights, load_weights
from tinyml.pipeline.model_sources import user_capture
from tinyml.pipeline.model_sources.user_capture import capture_module
from tinyml.pipeline.model_sources.workspace import CaptureJob, CaptureRecord, Workspace
from tinyml.pipeline.outputs import reference

pytestmark = pytest.mark.filterwarnings(r"ignore:`isinstance\(treespec, LeafSpec\)`:FutureWarning")
X = np.random.default_rng(0).uniform(0.5, 1.5, (1, 3, 8)).astype(np.float32)


def captured(module: nn.Module, folder: Path, **sample: Array) -> CaptureRecord:
    work = Workspace(folder)
    work.save_sample(sample or {"x": X})
    capture_module(module, CaptureJob(), work)
    return work.load_capture_record()


class Logarithm(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.log(x).sum()


def test_cases_out_of_the_modules_range_are_left_out_and_told(tmp_path: Path) -> None:
    facts = captured(Logarithm(), tmp_path)
    expected = reference.load(tmp_path / "reference.safetensors")
    assert set(expected.inputs) == {"sample", "shuffled"}
    assert facts.not_judged["silence"] == "PyTorch's own output is not finite"
    assert expected.outputs["sample"]["output"].shape == ()
    np.testing.assert_array_equal(np.sort(expected.inputs["shuffled"]["x"], None), np.sort(X, None))
    assert {row.verdict for row in facts.parity} == {"pass"}


class Decoder(nn.Module):
    """Attention of a sequence to itself and to another, then sums that nearly cancel."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.TransformerDecoderLayer(8, 2, dim_feedforward=12, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x, 1.5 * x)


def test_attention_is_judged_by_the_kernels_that_the_program_calls(tmp_path: Path) -> None:
    """Those of evaluation are fused, and round otherwise."""
    rows = captured(Decoder().eval(), tmp_path).parity
    assert {row.max_error for row in rows if row.engine == "captured"} == {0.0}
    assert torch.backends.mha.get_fastpath_enabled()


def test_a_sample_without_a_finite_answer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="PyTorch on the sample: the output 'output' is nan"):
        captured(Logarithm(), tmp_path, x=-X)


@pytest.mark.parametrize(
    ("job", "error", "words"),
    [
        (CaptureJob(keep_float=("head", "hed")), UsageError, "no stage 'hed' to keep in float32"),
        (CaptureJob(labels=2), InputError, r"2 labels are given.*\[5\]"),
    ],
)
def test_what_was_asked_and_the_module_does_not_have_is_refused_before_the_capture(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    job: CaptureJob,
    error: type[Exception],
    words: str,
) -> None:
    monkeypatch.setattr(user_capture, "capture_or_locate", None)
    module = nn.Sequential()
    module.add_module("head", nn.Linear(8, 5))
    work = Workspace(tmp_path)
    work.save_sample({"x": X})
    with pytest.raises(error, match=words):
        capture_module(module, job, work)


@pytest.mark.parametrize(("value", "words"), [(np.nan, r"\(1 of 4\)"), (np.inf, "of 4")])
def test_a_weight_that_is_not_finite_is_named_a_mask_is_none(
    tmp_path: Path, value: float, words: str
) -> None:
    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(8, 4)
            self.register_buffer("mask", torch.full((4,), -torch.inf))

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(x)

    module = Masked()
    check_weights(module, "the module")
    with torch.no_grad():
        module.fc.bias[2] = value
    with pytest.raises(ExportError, match=f"the module: the weight 'fc.bias' holds .*{words}"):
        captured(module, tmp_path)
    module = Masked()
    module.mask.fill_(value)  # type: ignore[operator]
    torch.save(module.state_dict(), tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match=r"w\.pt: the weight 'mask'"):
        load_weights(Masked(), tmp_path / "w.pt")


class Words(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(9, 4)

    def forward(self, ids: Tensor) -> Tensor:
        return self.words(ids)


def test_an_index_takes_the_whole_range_of_the_sample_and_no_more(tmp_path: Path) -> None:
    facts = captured(Words(), tmp_path, ids=np.array([[2, 8, 5] * 20]))
    inputs = reference.load(tmp_path / "reference.safetensors").inputs
    assert not facts.not_judged
    assert set(inputs["random"]["ids"].ravel()) == set(range(2, 9))
    assert {int(x) for given in inputs.values() for x in given["ids"].ravel()} == set(range(2, 9))


class Lookup(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if not torch.compiler.is_exporting() and x.abs().sum() == 0:
            raise RuntimeError("silence")
        return x * 2


def test_a_case_that_the_module_refuses_is_left_out(tmp_path: Path) -> None:
    facts = captured(Lookup(), tmp_path)
    assert facts.not_judged == {"silence": "PyTorch refuses it: RuntimeError"}


class Normalised(nn.Module):
    """On silence its convolution is a constant, which the normalisation turns into noise."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(3, 4, 1)
        self.norm = nn.InstanceNorm1d(4)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x)).abs().mean() + x.sum() + 1


def test_a_stage_of_rounding_noise_is_not_judged_on_that_case_alone(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = Normalised()
    module.conv.bias.data = torch.tensor([0.1, 0.3, 0.7, 3.3])
    facts = captured(module, tmp_path, x=X[:, :, :7])
    assert facts.not_judged.get("silence, norm") == "rounding noise in PyTorch"
    expected = reference.load(tmp_path / "reference.safetensors")
    assert "norm" in expected.stages["sample"]
    assert set(expected.stages["silence"]) == {"conv"}


def test_what_is_too_large_for_the_reference_is_left_out_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = nn.Sequential(nn.Sequential(nn.Linear(8, 8), nn.ReLU()), nn.Linear(8, 2))
    monkeypatch.setattr(user_capture, "REFERENCE_BYTES", 300)
    facts = captured(module, tmp_path)
    expected = reference.load(tmp_path / "reference.safetensors")
    assert set(expected.stages["sample"]) == {"0", "0.0", "1"}  # 96 + 24 bytes, then 96
    assert set(expected.stages["shuffled"]) == {"1"}
    assert facts.not_judged["sample, 1 stages"] == "too large for the reference"
    assert set(expected.outputs) == set(expected.inputs)
    assert len(expected.inputs) == 7


class Through(nn.Module):
    def __init__(self, which: str) -> None:
        super().__init__()
        self.which = which

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        y = x * 2
        return {"y": y, "again": y if self.which == "y" else x}


@pytest.mark.parametrize("which", ["x", "y"])
def test_one_tensor_under_two_names_is_refused(tmp_path: Path, which: str) -> None:
    with pytest.raises(ExportError, match=f"output 'again' is '{which}' unchanged"):
        captured(Through(which), tmp_path)


class Failing(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x @ x


def test_a_forward_that_fails_is_told_with_its_line(tmp_path: Path) -> None:
    words = r"running the module on the sample: test_user_capture.py:\d+: RuntimeError: Expected"
    with pytest.raises(ExportError, match=words):
        captured(Failing(), tmp_path)


def test_the_metrics_data_is_answered_by_pytorch(tmp_path: Path) -> None:
    data = np.stack([X, 2 * X])
    np.savez(tmp_path / "data.npz", x=data, targets=np.zeros(2))
    captured(Lookup(), tmp_path)
    with np.load(tmp_path / "predictions.npz") as answers:
        np.testing.assert_array_equal(answers["output"], 2 * data[:, 0])


class Spread(nn.Module):
    """Zero where all rows are equal, if their mean is exactly one of them; and a sum of zeros."""

    def __init__(self) -> None:
        super().__init__()
        self.part, self.quiet = Variance(), nn.Linear(8, 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.part(x) + self.quiet(x * 0.0).sum() + x.sum()


class Variance(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.var(1)


def test_zeros_that_are_differences_of_equal_numbers_are_left_out_of_generated_cases(
    tmp_path: Path,
) -> None:
    torch.manual_seed(0)
    facts = captured(Spread(), tmp_path)
    assert facts.not_judged == {"impulse, part": user_capture.NOISE}
    expected = reference.load(tmp_path / "reference.safetensors")
    assert {"part", "quiet"} <= expected.stages["silence"].keys() & expected.stages["sample"].keys()


def test_equal_rows_of_the_sample_itself_are_judged(tmp_path: Path) -> None:
    same = np.ones((1, 3, 8), np.float32)
    captured(Spread(), tmp_path, x=same)
    expected = reference.load(tmp_path / "reference.safetensors")
    assert not np.any(expected.stages["sample"]["part"])
