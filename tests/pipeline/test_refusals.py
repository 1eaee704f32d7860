"""A converter's refusal becomes the name of the part, whose log stays when the rest goes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tinyml.core.errors import ExportError
from tinyml.core.export_settings import ExportSettings
from tinyml.core.process import machine_memory_mb
from tinyml.core.settings import complete
from tinyml.core.spec import Signature, TensorSpec
from tinyml.core.worker import Worker
from tinyml.export.capture.known_errors import UNSUPPORTED
from tinyml.export.capture.program import capture
from tinyml.export.quantization.precision import find_precision
from tinyml.pipeline import export
from tinyml.pipeline.steps import write_files

SIGNATURE = Signature((TensorSpec("x", (1, 16)),), (TensorSpec("y", (1, 16)),))


class Sign(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.angle(x)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(16, 16)
        self.level = Sign()

    def forward(self, x: Tensor) -> Tensor:
        return self.level(self.body(x))


def convert(plan: Any) -> None:
    """The network to the plan's formats, in a scratch folder as export has it."""
    with export._scratch() as work, plan.worker:
        work.save_program(capture(Net().eval(), SIGNATURE))
        write_files.write_files(plan, work, work.folder, lambda _: None)


# torch 2.13 warns about its own use of LeafSpec
@pytest.mark.filterwarnings(r"ignore:`isinstance\(treespec, LeafSpec\)`:FutureWarning")
@pytest.mark.slow
def test_a_refused_conversion_names_the_part_and_keeps_its_log() -> None:
    torch.manual_seed(0)
    plan: Any = SimpleNamespace(
        source=SimpleNamespace(name="net"),
        formats=("tflite",),
        precision="fp32",
        traits=find_precision("fp32"),
        worker=Worker(machine_memory_mb()),
        settings=complete(ExportSettings(timeout_s=240.0)),
        memory_mb=machine_memory_mb(),
    )
    with pytest.raises(ExportError) as caught:
        convert(plan)
    message, hint = caught.value.message, caught.value.hint
    assert message.startswith("LiteRT cannot convert 'level' (Sign, ")
    assert f"{Path(__file__).name}:" in message
    assert hint.startswith(UNSUPPORTED)
    log = Path(hint.partition("the whole log: ")[2])
    assert log.is_file()
    assert {path.name for path in log.parents[1].iterdir()} == {"logs"}
