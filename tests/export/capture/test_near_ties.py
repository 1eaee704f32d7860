"""Choices between nearly equal numbers are known; a wrong choice is not taken for one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tinyml.core.spec import Array, Signature, TensorSpec
from tinyml.export import parity
from tinyml.export.capture.near_ties import undecided
from tinyml.export.capture.program import capture
from tinyml.pipeline.model_sources.user_capture import capture_module
from tinyml.pipeline.model_sources.workspace import CaptureJob, Workspace

pytestmark = pytest.mark.filterwarnings(r"ignore:`isinstance\(treespec, LeafSpec\)`:FutureWarning")
DISTINCT = np.array([[0.1, 0.9, -0.4, 0.6, 0.3, -0.8]], np.float32)
TIED = np.array([[0.1, 0.9, -0.4, 0.900001, 0.3, -0.8]], np.float32)


class Detector(nn.Module):
    """The two best of six, the box of each, and the class of all."""

    def __init__(self) -> None:
        super().__init__()
        self.scores = nn.Hardtanh(-2.0, 2.0)
        self.register_buffer("boxes", torch.arange(24.0).reshape(1, 6, 4))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        scores = self.scores(x)
        best, places = scores.topk(2, 1)
        boxes = self.boxes.gather(1, places[..., None].expand(-1, -1, 4))
        return {
            "scores": scores * 2.0,
            "best": best,
            "places": places,
            "boxes": boxes,
            "class": scores.argmax(1),
            "worst": scores.min(1).values,
        }


def signature() -> Signature:
    outputs = Detector()(torch.from_numpy(DISTINCT))
    specs = [TensorSpec(n, tuple(v.shape), dtype=str(v.dtype)[6:]) for n, v in outputs.items()]
    return Signature((TensorSpec("x", (1, 6)),), tuple(specs))


def test_what_hangs_on_a_near_tie_is_named_and_nothing_else() -> None:
    captured = capture(Detector().eval(), signature(), ("scores",))
    assert undecided(captured, {"x": DISTINCT}) == (set(), set())
    assert undecided(captured, {"x": TIED}) == (set(), {"places", "boxes", "class"})
    assert undecided(captured, {"x": 0 * TIED})[1] == {"places", "boxes", "class"}


def test_generated_ties_are_left_out_and_real_cases_judge(tmp_path: Path) -> None:
    work = Workspace(tmp_path)
    work.save_sample({"x": DISTINCT})
    capture_module(Detector().eval(), CaptureJob(), work)
    reason = "its output hangs on a choice between nearly equal numbers"
    left_out = work.load_capture_record().not_judged
    assert {case for case, why in left_out.items() if why == reason} >= {"silence", "full-scale"}
    assert {"sample", "random"} <= set(work.load_reference().inputs)


def test_a_tie_in_a_real_sample_is_judged(tmp_path: Path) -> None:
    work = Workspace(tmp_path)
    work.save_sample({"x": TIED})
    capture_module(Detector().eval(), CaptureJob(), work)
    assert "sample" in work.load_reference().inputs


SABOTAGE = {
    "shifted indices": lambda value: (value + 1) % 6,
    "swapped rows": lambda value: value[:, ::-1],
}


@pytest.mark.parametrize(
    ("wrong", "output"), [("shifted indices", "places"), ("swapped rows", "boxes")]
)
def test_a_wrong_index_is_refused(wrong: str, output: str, tmp_path: Path) -> None:
    """On the sample and on the generated inputs without ties."""
    work = Workspace(tmp_path)
    work.save_sample({"x": DISTINCT})
    capture_module(Detector().eval(), CaptureJob(), work)
    for case, outputs in work.load_reference().outputs.items():
        got: dict[str, Array | None] = {output: SABOTAGE[wrong](outputs[output])}
        [row] = parity.compare("litert", case, outputs, got, [output])
        assert row.verdict == "fail", case
