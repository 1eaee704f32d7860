"""Choices between nearly equal numbers are known; a wrong choice is not taken for one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from torch import Tensor, nn

from tinyml.core.errors import BundleError, ValidationError
from tinyml.core.spec import Array, Signature, TensorSpec
from tinyml.core.ties import NO_AXIS
from tinyml.export import parity
from tinyml.export.capture.near_ties import Undecided, undecided
from tinyml.export.capture.program import capture
from tinyml.pipeline.model_sources.user_capture import capture_module
from tinyml.pipeline.model_sources.workspace import CaptureJob, Workspace
from tinyml.pipeline.outputs.reference import Reference, load

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


class GoesOn(Detector):
    """What follows mixes the chosen boxes, or chooses again among them."""

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        found = super().forward(x)
        boxes = found["boxes"]
        return {
            "scores": found["scores"],
            "path": boxes.cumsum(1) * torch.tensor([[[1.0], [2.0]]]),
            "largest": boxes.sum(2).argmax(1),
        }


def test_what_hangs_on_a_near_tie_is_named_and_nothing_else() -> None:
    captured = capture(Detector().eval(), signature(), ("scores",))
    assert undecided(captured, {"x": DISTINCT}) == Undecided(set(), {})
    for tied in (TIED, 0 * TIED):
        found = undecided(captured, {"x": tied})
        assert found.stages == set()
        assert {name for name, ties in found.outputs.items() if ties} == {
            *("places", "boxes", "class")
        }
    # the place of a number, not its size, is what rounding decides
    assert undecided(captured, {"x": DISTINCT}, "int8").outputs.keys() == {
        *("places", "boxes", "class")
    }


def test_the_table_of_an_output_is_its_value_for_each_place() -> None:
    captured = capture(Detector().eval(), signature())
    found = undecided(captured, {"x": TIED}).outputs
    boxes, label = found["boxes"], found["class"]
    assert boxes is not None
    assert label is not None
    assert np.array_equal(boxes.table, np.arange(24.0).reshape(1, 6, 4))
    assert (boxes.axis, boxes.is_place) == (1, False)
    assert (label.axis, label.is_place) == (NO_AXIS, True)
    assert np.array_equal(label.chosen, [[TIED.max()]])


class Classes(nn.Module):
    """A class for each of many places, and one of all values."""

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        image = x.reshape(1, 2, 3)
        return {"image": image.argmax(1), "any": x.argmax(), "order": x.sort(1, True).indices + 1}


def test_a_class_for_each_place_and_an_order_are_choices_too() -> None:
    outputs = Classes()(torch.from_numpy(TIED))
    specs = [TensorSpec(n, tuple(v.shape), dtype="int64") for n, v in outputs.items()]
    captured = capture(Classes().eval(), Signature((TensorSpec("x", (1, 6)),), tuple(specs)))
    found = undecided(captured, {"x": 0 * TIED}).outputs
    image, order = found["image"], found["order"]
    assert image is not None
    assert order is not None
    assert (image.numbers.shape, image.table.shape) == ((3, 2), (1, 2, 1))
    assert order.table.ravel().tolist() == [1, 2, 3, 4, 5, 6]
    assert found["any"] is None


def judged(module: nn.Module, sample: Array, folder: Path) -> tuple[Reference, dict[str, str]]:
    work = Workspace(folder)
    work.save_sample({"x": sample})
    capture_module(module.eval(), CaptureJob(), work)
    return work.load_reference(), dict(work.load_capture_record().not_judged)


def test_a_generated_tie_counts_and_is_compared_at_the_chosen_places(tmp_path: Path) -> None:
    expected, left_out = judged(Detector(), DISTINCT, tmp_path)
    assert not [what for what in left_out if "output" in what]
    assert {*parity.GENERATED, "sample"} == set(expected.inputs)
    assert {"silence", "full-scale"} <= set(expected.ties)
    tied = expected.outputs["silence"]
    assert {*tied} == {"scores", "best", "places", "boxes", "class", "worst"}
    places = np.array([[5, 0]])
    moved = {"places": places, "boxes": np.arange(24.0).reshape(1, 6, 4)[:, [5, 0]]}
    moved["class"] = np.array([4])
    rows = parity.compare("litert", "silence", tied, moved, [*moved], ties=expected.ties["silence"])
    assert [row.verdict for row in rows] == ["pass", "pass", "pass"]


def test_a_network_that_goes_on_after_the_choice_is_left_out_by_name(tmp_path: Path) -> None:
    expected, left_out = judged(GoesOn(), DISTINCT, tmp_path)
    assert set(expected.outputs["silence"]) == {"scores"}
    assert set(expected.outputs["sample"]) == {"scores", "path", "largest"}
    assert "not computed for each chosen place" in left_out["silence, output 'path'"]
    outputs = GoesOn()(torch.from_numpy(DISTINCT))
    specs = [TensorSpec(n, tuple(v.shape), dtype=str(v.dtype)[6:]) for n, v in outputs.items()]
    declared = Signature((TensorSpec("x", (1, 6)),), tuple(specs))
    expected.check(declared, ("scores",), left_out)
    with pytest.raises(ValidationError, match=r"outputs of case 'full-scale'"):
        expected.check(declared, ("scores",))


def test_a_tie_in_a_real_sample_is_judged_at_the_chosen_places(tmp_path: Path) -> None:
    expected, _ = judged(Detector(), TIED, tmp_path)
    want, ties = expected.outputs["sample"], expected.ties["sample"]
    for places, verdict in (([1, 3], "pass"), ([3, 1], "pass"), ([1, 0], "fail")):
        got: dict[str, Array | None] = {"places": np.array([places])}
        (row,) = parity.compare("litert", "sample", want, got, ["places"], ties=ties)
        assert row.verdict == verdict


def test_ties_come_back_from_a_file_and_broken_ones_are_refused(tmp_path: Path) -> None:
    expected, _ = judged(Detector(), TIED, tmp_path)
    expected.save(tmp_path / "a.safetensors")
    back = load(tmp_path / "a.safetensors")
    for case, named in expected.ties.items():
        for name, own in named.items():
            again = back.ties[case][name]
            assert np.array_equal(again.table, own.table)
            assert (again.axis, again.nbytes) == (own.axis, own.nbytes)
    boxes = replace(expected.ties["sample"]["boxes"], axis=0)
    wrong = replace(expected, ties={"sample": {"boxes": boxes}})
    with pytest.raises(ValidationError, match="the ties of 'boxes' on 'sample' do not fit it"):
        wrong.check(signature(), ("scores",))
    arrays = {f"ties-{part}/sample/boxes": np.zeros(1) for part in ("table", "axis")}
    save_file(arrays, tmp_path / "b.safetensors")
    with pytest.raises(BundleError, match="ties that are not whole"):
        load(tmp_path / "b.safetensors")


SABOTAGE = {
    "shifted indices": lambda value: (value + 1) % 6,
    "swapped rows": lambda value: value[:, ::-1],
}


@pytest.mark.parametrize(
    ("wrong", "output"), [("shifted indices", "places"), ("swapped rows", "boxes")]
)
def test_a_wrong_index_is_refused(wrong: str, output: str, tmp_path: Path) -> None:
    """On the sample and on every generated input whose values are not all the same."""
    expected, _ = judged(Detector(), DISTINCT, tmp_path)
    refused = set()
    for case, outputs in expected.outputs.items():
        got: dict[str, Array | None] = {output: SABOTAGE[wrong](outputs[output])}
        ties = expected.ties.get(case)
        (row,) = parity.compare("litert", case, outputs, got, [output], ties=ties)
        refused |= {case} if row.verdict == "fail" else set()
    assert {"sample", "random", "tiny", "shuffled"} <= refused
