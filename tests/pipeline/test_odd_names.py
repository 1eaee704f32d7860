"""Names of inputs, outputs, stages and labels through export, verify, predict and bench."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from short_timing import short

from tinyml.core import bundle as bundles
from tinyml.core.files import sha256
from tinyml.pipeline.bench import bench
from tinyml.pipeline.verify import verify

if TYPE_CHECKING:
    import subprocess

# torch 2.13 warns about its own use of LeafSpec
IGNORED = r"ignore:`isinstance\(treespec, LeafSpec\)`:FutureWarning"
# An input is a parameter of forward, or a key of its dict: an identifier.
INPUTS = ["file", "ï", "i" * 200, "args", "kwargs", "module", "x_1", "linear"]
OUTPUTS = [
    *("out.a/b", "self", "allow_pickle", "x.npy", "ö;;x", "o" * 200),
    *("t0", "../up", " ", "a b", "serving_default", "output;1"),
]
STAGES = ["file", "self_", "a@b/c", "ü", "t1", "s" * 200]
LABELS = ["file", "self", "../x", "a;;b.c/d", "ünï", " x", "l" * 200, "nan", "-", "label"]

Cli = Callable[..., "subprocess.CompletedProcess[str]"]


def silent(_: object) -> None:
    """Nobody listens."""


def network() -> Any:
    """Odd submodules in a row, each times a number as an odd output."""
    import torch
    from torch import Tensor, nn

    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.parts = nn.ModuleDict({name: nn.Linear(10, 10) for name in STAGES})

        def forward(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
            x = torch.stack([*inputs.values()]).sum(0)
            for part in self.parts.values():
                x = torch.tanh(part(x))
            return {name: x * (place + 2) for place, name in enumerate(OUTPUTS)}

    return Odd()


@pytest.mark.slow
@pytest.mark.filterwarnings(IGNORED)
@pytest.mark.parametrize("precision", ["fp32", "w8a8-static"])
def test_a_module_keeps_the_names_of_its_inputs_outputs_and_stages(
    precision: str, tmp_path: Path, quiet_machine: None
) -> None:
    import tinyml

    random = np.random.default_rng(0)
    samples = {name: random.normal(size=(4, 1, 10)).astype(np.float32) for name in INPUTS}
    more = {} if precision == "fp32" else {"calibration": samples, "precision": precision}
    out = tmp_path / "bundle"
    made = tinyml.build_bundle(
        network(), {n: a[0] for n, a in samples.items()}, out=out, labels=LABELS, **more
    )
    assert [spec.name for spec in made.signature.inputs] == INPUTS
    assert [spec.name for spec in made.signature.outputs] == OUTPUTS
    judged = {row.stage for row in made.parity.stages if row.verdict == "pass"}
    assert {*OUTPUTS, *(f"parts.{name}" for name in STAGES)} <= judged
    assert bundles.read(out).signature == made.signature
    verify(out, silent)
    timed = bench(out, timing=short(), out=None, report=silent).measurements
    assert {own.runtime for own in timed} == {"litert", "onnxruntime"}


def renamed(bundle: Path, out: Path) -> Path:
    """A copy whose classes are called `LABELS`, in every file that has them."""
    shutil.copytree(bundle, out)
    path = out / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    before = manifest["processor"]["labels"]
    assert len(before) == len(LABELS)
    manifest["processor"]["labels"] = LABELS
    (out / "labels.txt").write_text("\n".join([*LABELS, ""]), encoding="utf-8")
    card = out / "MODEL_CARD.md"
    text = card.read_text(encoding="utf-8")
    card.write_text(text.replace(", ".join(before), ", ".join(LABELS)), encoding="utf-8")
    for name, entry in manifest["files"].items():
        entry |= {"size": (out / name).stat().st_size, "sha256": sha256(out / name)}
    path.write_text(json.dumps(manifest), encoding="utf-8")
    return out


def test_a_prediction_has_the_label_whatever_it_is_called(
    image_bundle: Path, tmp_path: Path, cli: Cli
) -> None:
    np.save(tmp_path / "array.npy", np.zeros((32, 32, 3), np.uint8))
    odd = renamed(image_bundle, tmp_path / "odd")
    answers = []
    for bundle in (image_bundle, odd):
        done = cli("predict", bundle, tmp_path / "array.npy", "--json")
        assert done.returncode == 0, done.stderr
        answers += json.loads(done.stdout)
    plain, found = answers
    assert [*found["probabilities"]] == LABELS
    assert [*found["probabilities"].values()] == [*plain["probabilities"].values()]
    assert found["label"] == LABELS[[*plain["probabilities"]].index(plain["label"])]
    shown = cli("predict", odd, tmp_path / "array.npy")
    assert shown.returncode == 0, shown.stderr
    assert f": {found['label']}  (" in shown.stdout
