"""The small network of each row, by the row's id: ``operators.networks:nn_GELU`` is a factory.

A layer with weights in front, the operator, then a matrix: quantization has something to
quantize on both sides, and the operator's own output is a stage, ``layer``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from operators import elementwise, functions, layers, spatial
from operators.row import ID_COUNT, IDS, VOLUME, Row
from tinyml.core.spec import Array

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests" / "corpus"))

from corpus_entry import randomised  # noqa: E402

ROWS = (*elementwise.ROWS, *layers.ROWS, *spatial.ROWS, *functions.ROWS)
BY_ID = {row.id: row for row in ROWS}
SEED = 20
CALIBRATION_COUNT = 8


class Network(nn.Module):
    """``front``, the operator, and a matrix of all that it gives."""

    def __init__(self, row: Row) -> None:
        super().__init__()
        self.front = _front(row.shape)
        self.layer = row.build()
        with torch.no_grad():
            given = torch.from_numpy(sample(row, 1)[0])
            found = self.layer.eval()(self.front(given))
        self.back = nn.Linear(found.numel(), 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.back(self.layer(self.front(x)).reshape(1, -1))


def _front(shape: tuple[int, ...]) -> nn.Module:
    """None where it would be the harder part: for volumes and for ids."""
    if shape in (IDS, VOLUME):
        return nn.Identity()
    if len(shape) < 4 and shape[-1] == 16:
        return nn.Linear(16, 16)
    kind = nn.Conv1d if len(shape) == 3 else nn.Conv2d
    return kind(shape[1], shape[1], 3, padding=1)


def build(row: Row) -> nn.Module:
    """Seeded, in eval mode, nothing in it as it was initialised."""
    torch.manual_seed(SEED)
    return randomised(Network(row))


def sample(row: Row, count: int) -> Array:
    """[count, *shape] seeded inputs."""
    generator = np.random.default_rng(SEED)
    shape = (count, *row.shape)
    if row.shape == IDS:
        return generator.integers(0, ID_COUNT, shape, dtype=np.int64)
    return generator.standard_normal(shape).astype(np.float32)


def __getattr__(name: str) -> Callable[[], nn.Module]:
    if name not in BY_ID:
        raise AttributeError(name)
    return partial(build, BY_ID[name])
