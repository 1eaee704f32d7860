"""Each rewrite is what makes a pruned PyTorch network run sparse on an emulated board."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from emulated_board.board import count, open_board
from emulated_board.software import with_litert
from torch import Tensor, nn

from tinyml.core.spec import Signature, TensorSpec
from tinyml.export import rewrites as program
from tinyml.export.capture.program import capture
from tinyml.export.formats.tflite import rewrites as tflite
from tinyml.export.formats.tflite import write as write_tflite

pytestmark = [
    pytest.mark.slow,
    # torch 2.13 on its own pytree, raised through copyreg
    pytest.mark.filterwarnings(r"ignore:`isinstance\(treespec, LeafSpec\)`:FutureWarning"),
]
WIDE = 96
ZEROS = 0.9
VERSION = "2.3.0"
# Of instructions: the same network dense takes 1.45 times those of the least sparse case.
LEAST = 1.3


class Network(nn.Module):
    """Entry, depthwise, two pruned 1x1 convolutions with ``middle`` between, ``head``."""

    def __init__(self, middle: nn.Module, head: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.entry = nn.Conv2d(3, 16, 3, 2, 1)
        self.depthwise = nn.Conv2d(16, 16, 3, 1, 1, groups=16)
        self.first, self.middle = nn.Conv2d(16, WIDE, 1), middle
        self.second, self.head = nn.Conv2d(WIDE, WIDE, 1), head

    def forward(self, image: Tensor) -> Tensor:
        x = torch.relu(self.depthwise(torch.relu(self.entry(image))))
        x = torch.relu(self.second(self.middle(torch.relu(self.first(x)))))
        return self.head(x)


@dataclass(frozen=True, slots=True)
class Case:
    """``rewrite`` is what this network needs, and the only thing it lacks without."""

    rewrite: str
    middle: Callable[[], nn.Module] = nn.Identity
    head: Callable[[Tensor], Tensor] = lambda x: F.adaptive_avg_pool2d(x, 1).flatten(1)
    side: int = 32


def halving(kernel: int) -> nn.Module:
    return nn.Conv2d(WIDE, WIDE, kernel, 2, kernel // 2, groups=WIDE)


CASES = {
    "a mean": Case("average_over_space", head=lambda x: x.mean((2, 3))),
    "one slope": Case("use_leaky_relu", nn.PReLU),
    "an odd image": Case("pad_explicitly", side=33),
    "odd inside": Case("pad_explicitly", lambda: halving(3), side=34),
    "5x5, odd inside": Case("pad_explicitly", lambda: halving(5), side=34),
    "a pooling at the end": Case(
        "average_by_mean", head=lambda x: F.avg_pool2d(x, x.shape[2:]).flatten(1)
    ),
    "a pooling inside": Case("average_by_depthwise", lambda: nn.AvgPool2d(2)),
    "a padded pooling inside": Case("average_by_depthwise", lambda: nn.AvgPool2d(3, 2, 1)),
}


def export(case: Case, path: Path) -> dict[str, int]:
    """Write the pruned network, its weights stored sparse; how often each rewrite fired."""
    torch.manual_seed(0)
    network = Network(case.middle(), case.head).eval()
    with torch.no_grad():
        for layer in (network.first, network.second):
            layer.weight.mul_(torch.rand_like(layer.weight) > ZEROS)
    shape = (1, 3, case.side, case.side)
    signature = Signature((TensorSpec("image", shape),), (TensorSpec("logits", (1, WIDE)),))
    captured, counts = program.rewrite(capture(network, signature))
    passes: dict[str, int] = {**counts, **write_tflite.write(captured, path).passes}
    return passes


def without(rewrite: str, patch: pytest.MonkeyPatch) -> None:
    """Leave one rewrite out of the export."""
    patch.delitem(tflite.REWRITES, rewrite, raising=False)
    patch.delitem(program.REWRITES, rewrite, raising=False)
    kept = tuple(apply for apply in write_tflite.FOR_LITERT if apply.__name__ != rewrite)
    patch.setattr(write_tflite, "FOR_LITERT", kept)


@pytest.mark.parametrize("name", CASES)
def test_a_network_runs_sparse_by_its_rewrite_alone(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, before, after = CASES[name], tmp_path / "before.tflite", tmp_path / "after.tflite"
    fired = export(case, after)
    assert fired[case.rewrite] >= 1
    without(case.rewrite, monkeypatch)
    assert case.rewrite not in export(case, before)
    with open_board("cortex-a72", with_litert(VERSION)) as link:
        dense, sparse = (count(link, path, calls=1).per_call for path in (before, after))
    print(f"\n| {name} | `{case.rewrite}` | {dense:,} | {sparse:,} |")  # docs/sparse.md
    assert dense > LEAST * sparse
