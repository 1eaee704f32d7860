"""What no rewrite takes is named with its submodule and line before anything is converted."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest
from torch import Tensor, nn

from tinyml.core.errors import ExportError
from tinyml.core.spec import Signature, TensorSpec
from tinyml.export.capture.program import capture
from tinyml.export.formats.tflite import write as writer
from tinyml.export.formats.tflite.refuse_operators import FIXES

pytestmark = pytest.mark.filterwarnings(r"ignore:`isinstance\(treespec, LeafSpec\)`:FutureWarning")


class Mean(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.scatter_reduce(1, x.argmax(1, keepdim=True), x, "mean")


class Middle(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.median(1, keepdim=True).values + x


REFUSED: dict[str, type[nn.Module]] = {"scatter_reduce": Mean, "median": Middle}


@pytest.mark.parametrize("operator", REFUSED)
def test_it_is_named_with_its_line_and_fix(
    operator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "to_tflite", lambda *_: pytest.fail("it was converted"))
    kind = REFUSED[operator]
    network = nn.Sequential(nn.Linear(4, 4), kind()).eval()
    signature = Signature((TensorSpec("input", (2, 4)),), (TensorSpec("y", (2, 4)),))
    captured = capture(network, signature)
    with pytest.raises(ExportError) as caught:
        writer.write(captured, tmp_path / "y.tflite")
    line = inspect.getsourcelines(kind.forward)[1] + 1
    place = rf"LiteRT cannot convert '1' \({kind.__name__}, \S*{Path(__file__).name}:{line}\): "
    assert re.match(rf"{place}TFLite has no operator for aten\.{operator}\.", caught.value.message)
    assert caught.value.hint == FIXES[operator]
    assert caught.value.located
