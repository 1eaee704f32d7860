"""Boxes in pixels and scores between 0 and 1 in one output: both survive eight bits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from quantized_user import SHAPE, job, silent

from tinyml.core.bundle import Bundle, StageParity
from tinyml.core.errors import UsageError, ValidationError
from tinyml.core.parts import OUTPUT
from tinyml.core.spec import Array
from tinyml.core.tolerance import sqnr_db
from tinyml.pipeline.assert_parity import assert_parity
from tinyml.pipeline.declared_rows import check_parts
from tinyml.pipeline.export import export
from tinyml.pipeline.outputs import reference
from tinyml.pipeline.verify import verify
from tinyml.runtimes.litert import LITERT
from tinyml.testing import ParityError

NET = """
import torch
from torch import nn

class Detector(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Conv2d(3, 16, 3, stride=2, padding=1)
        self.box = nn.Conv2d(16, 4, 1)
        self.score = nn.Conv2d(16, 3, 1)
        with torch.no_grad():
            self.score.bias.fill_(-3.0)
            self.score.weight.mul_(3)
    def forward(self, image):
        y = torch.relu(self.body(image))
        box = self.box(y).sigmoid().flatten(2) * 320
        return torch.cat([box, self.score(y).sigmoid().flatten(2)], dim=1)
"""


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("detector")
    random = np.random.default_rng(0)
    (folder / "net.py").write_text(NET)
    np.savez(folder / "s.npz", image=random.standard_normal(SHAPE, np.float32))
    np.savez(folder / "c.npz", image=random.standard_normal((16, *SHAPE), np.float32))
    return folder


def exported(user: Path, out: Path, **asked: object) -> Bundle:
    net = f"{user / 'net.py'}:Detector"
    return export(job(user, model=net, out=out, formats=("tflite",), **asked), silent)


def test_scores_next_to_boxes_keep_a_scale_of_their_own(user: Path, tmp_path: Path) -> None:
    made = exported(user, tmp_path / "out")
    (model,) = made.models
    expected = reference.load(made.folder / "reference.safetensors")
    want = expected.outputs["sample"]["output"]
    (got,) = LITERT.open(made.file(model)).run(expected.inputs["sample"]).values()
    noise = sqnr_db(got[:, 4:], want[:, 4:])
    assert noise is not None
    assert noise > 30.0
    kept = [why for why in model.plan.kept.values() if "joins the parts" in why]
    assert kept
    parts = [str(part) for part in expected.parts(OUTPUT)["output"]]
    assert parts[:2] == ["0-3 of axis 1", "4-6 of axis 1"]
    checked = verify(made.folder, silent).parity
    judged = [row for row in checked.stages if row.stage == "output"]
    assert judged
    assert {row.part for row in judged} <= {*parts}

    def other_scores(image: Array) -> dict[str, Array]:
        own = want.copy()
        own[:, 4:] *= 2.0
        return {"output": own}

    given = expected.inputs["sample"]
    assert all(row.part for row in assert_parity(made, {"output": want}, given))
    with pytest.raises(ParityError, match="output"):
        assert_parity(made, other_scores, given)


def test_rows_that_lost_their_parts_do_not_pass() -> None:
    row = StageParity("litert", "sample", "output", "pass", "int8", 0.1, 0.2, part="4-6 of axis 1")
    check_parts([row], [row])
    check_parts([row], [replace(row, part="")])  # a bundle that was written before there were parts
    with pytest.raises(ValidationError, match="lacks the parts of 1 rows"):
        check_parts([replace(row, part="")], [row])


@pytest.mark.slow
def test_quantized_outputs_cannot_hold_both(user: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="joins parts whose ranges differ"):
        exported(user, tmp_path / "out", io="int8")
    assert not (tmp_path / "out").exists()
