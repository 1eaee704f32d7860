"""Stages without a tensor in a shipped file are shown by its instrumented model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from warm_worker import warm

from tinyml.core import bundle as bundles
from tinyml.core.bundle import Bundle
from tinyml.core.errors import ExportError
from tinyml.core.spec import Signature, TensorSpec
from tinyml.core.subprocesses import Child
from tinyml.export import facts
from tinyml.export.capture.program import NAMES, PROGRAM, capture
from tinyml.export.formats import instrumented
from tinyml.export.formats.tflite import write as write_tflite
from tinyml.pipeline.build import build_bundle
from tinyml.pipeline.verify import verify

SIGNATURE = Signature((TensorSpec("input", (1, 3, 8, 8)),), (TensorSpec("output", (1, 4, 8, 8)),))


def network() -> nn.Module:
    """The convolution's own value is in no TFLite file: ReLU6 is computed along with it."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU6()), nn.Conv2d(4, 4, 1)
    ).eval()


@pytest.fixture(scope="module", params=["fp32", "fp16"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = network()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = self.net(x)
            return y

    out = tmp_path_factory.mktemp("instrumented") / "bundle"
    sample = {"x": torch.randn(1, 3, 8, 8)}
    return build_bundle(
        Named().eval(), sample, out=out, formats=("tflite",), precision=request.param
    )


def test_a_stage_that_was_fused_away_is_compared_in_the_instrumented_model(made: Bundle) -> None:
    (tflite,) = made.models
    assert tflite.stages["net.0.0"] is None
    assert tflite.instrumented == ("net.0.0",)
    rows = [row for row in made.parity.stages if row.engine == "litert+instrumented"]
    assert {(row.stage, row.verdict) for row in rows} == {("net.0.0", "pass")}
    assert len({row.case for row in rows}) >= 5
    assert {row.max_error is not None for row in rows} == {True}
    shipped = [row for row in made.parity.stages if row.engine == "litert"]
    assert {r.verdict for r in shipped if r.stage == "net.0.0"} == {"fused away"}


def test_the_instrumented_model_is_not_shipped_and_verify_does_without(made: Bundle) -> None:
    assert not [path.name for path in made.folder.iterdir() if "instrumented" in path.name]
    checked = verify(made.folder, lambda _: None)
    assert not [row for row in checked.parity.stages if row.engine.endswith("+instrumented")]
    assert bundles.read(made.folder).models == made.models


# torch 2.13 warns about its own use of LeafSpec
@pytest.mark.filterwarnings(r"ignore:`isinstance\(treespec, LeafSpec\)`:FutureWarning")
def test_an_instrumented_model_that_cannot_be_written_leaves_its_reason_and_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    capture(network(), SIGNATURE, ("0.0",)).save(tmp_path)
    written = []

    def write(captured, path):  # type: ignore[no-untyped-def]
        if written:
            raise ExportError("the converter has had enough")
        written.append(path)
        return write_tflite.write(captured, path)

    arguments = [PROGRAM, NAMES, "a.tflite", "facts.json"]
    paths = [str(tmp_path / name) for name in arguments]
    instrumented.run_writer(
        write, [*paths, "--instrumented", str(tmp_path / "instrumented.tflite")]
    )
    found = facts.load(tmp_path / "facts.json")
    assert found.instrumented == ()
    assert (
        found.instrumented_note == "no instrumented model shows 0.0: the converter has had enough"
    )
    assert (tmp_path / "a.tflite").stat().st_size > 0


@pytest.mark.filterwarnings(r"ignore:`isinstance\(treespec, LeafSpec\)`:FutureWarning")
def test_of_stages_that_are_one_value_the_outermost_is_shown(tmp_path: Path) -> None:
    """A block and the last layer inside of it: two outputs of one value would be one tensor."""
    inner = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1))
    module = nn.Sequential(nn.Sequential(inner, nn.ReLU6()), nn.Conv2d(4, 4, 1)).eval()
    capture(module, SIGNATURE, ("0.0.0", "0.0", "0")).save(tmp_path)
    paths = [str(tmp_path / name) for name in (PROGRAM, NAMES, "a.tflite", "facts.json")]
    shown = tmp_path / "instrumented.tflite"
    instrumented.run_writer(write_tflite.write, [*paths, "--instrumented", str(shown)])
    assert facts.load(tmp_path / "facts.json").instrumented == ("0.0",)
    assert shown.is_file()


def test_an_instrumented_model_shows_a_value_before_it_is_overwritten(
    tmp_path: Path,
) -> None:
    """An activation in place overwrites the stage before it."""
    import numpy as np

    from tinyml.runtimes.litert import LITERT

    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(inplace=True)).eval()
    capture(module, SIGNATURE, ("0",)).save(tmp_path)
    arguments = [tmp_path / name for name in (PROGRAM, NAMES, "a.tflite", "facts.json")]
    told = (*map(str, arguments), "--instrumented", str(tmp_path / "t.tflite"))
    warm().run([Child("tinyml.export.formats.tflite.write", told, tmp_path / "log")], 120)
    x = torch.randn(1, 3, 8, 8)
    got = LITERT.read_tensors(tmp_path / "t.tflite", ["0"], {"input": x.numpy()})["0"]
    np.testing.assert_allclose(got, module[0](x).detach().numpy(), atol=1e-5)
    assert got.min() < 0
