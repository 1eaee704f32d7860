"""A user's own network, written as a user would, and one bundle of it for the whole run."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shared_folder import shared_folder
from stored_bytes import assert_all_is_read, model_files

from tinyml.pipeline.steps import assemble

Cli = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="package", autouse=True)
def every_constant_is_read() -> Iterator[None]:
    """Of every file that a test of this folder exports in its own process."""
    write = assemble.assemble

    def checked(folder: Path, *rest: Any) -> Any:
        if model_files(folder):  # a test's own format has neither
            assert_all_is_read(folder)
        return write(folder, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assemble, "assemble", checked)
        yield


NET = """\
import torch
from torch import nn

print("noise from the import")


class Step(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = nn.GRUCell(8, 8)

    def forward(self, x, h):
        return self.cell(x, h)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.Identity()
        )
        self.words = nn.Embedding(10, 8)
        self.step = Step()
        self.act = nn.SiLU()
        self.head = nn.Linear(8, 3)

    def forward(self, input, ids, h):
        print("noise from forward")
        seen = self.features(input).view(input.shape[0], 8, -1).mean(-1)
        new = self.step(seen + self.words(ids).mean(1), h)
        return {"logits": self.head(self.act(self.act(new))), "next_h": new}


def build():
    print("noise from the factory")
    return Net().train()
"""

METRIC = """\
import numpy as np


def accuracy(predictions, targets):
    print("noise from the metric")
    return np.mean(predictions.argmax(-1) == targets)
"""


@dataclass(frozen=True, slots=True)
class UserModel:
    """The files of a user: ``net.py``, ``w.pt`` (prefixed names), ``s.npz``, ``d.npz``, ..."""

    folder: Path

    def arguments(self, *more: object) -> list[object]:
        """``export`` with everything that there is to say of the network."""
        f = self.folder
        fixed = ["export", f / "net.py:build", "--weights", f / "w.pt", "--sample", f / "s.npz"]
        fixed += ["--state", "h=next_h", "--input-layout", "nhwc", "--target", "rpi"]
        return [*fixed, *more]


@pytest.fixture(scope="session")
def user_model(tmp_path_factory: pytest.TempPathFactory) -> UserModel:
    return UserModel(shared_folder(tmp_path_factory, "user_model", write_user_model))


def write_user_model(folder: Path) -> None:
    """The files of `UserModel`."""
    import runpy

    import torch

    (folder / "net.py").write_text(NET)
    (folder / "my_eval.py").write_text(METRIC)
    (folder / "labels.txt").write_text("cat\ndog\nbird\n")
    torch.manual_seed(1)
    weights = runpy.run_path(str(folder / "net.py"))["build"]().state_dict()
    weights["features.1.running_mean"].normal_()
    weights["features.1.running_var"].uniform_(0.5, 2.0)
    wrapped = {f"module.{name}": value for name, value in weights.items()}
    torch.save({"state_dict": wrapped, "epoch": 3}, folder / "w.pt")
    rng = np.random.default_rng(0)

    def noise(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32)

    np.savez(folder / "s.npz", input=noise(1, 16, 12, 3), ids=np.array([[1, 5, 9]]), h=noise(1, 8))
    np.savez(
        folder / "d.npz",
        input=noise(12, 16, 12, 3),
        ids=rng.integers(0, 10, (12, 1, 3)),
        targets=rng.integers(0, 3, 12),
    )


@pytest.fixture(scope="session")
def user_bundle(
    user_model: UserModel, cli_process: Cli, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, str, str]:
    """The bundle of `user_model` through the command line; its stdout and stderr."""

    def make(folder: Path) -> None:
        f, out = user_model.folder, folder / "user"
        more = ["--strip-prefix", "state_dict.module.", "--labels", f / "labels.txt"]
        more += ["--metric", f / "my_eval.py:accuracy", "--data", f / "d.npz", "--out", out]
        done = cli_process(*user_model.arguments(*more))
        assert done.returncode == 0, done.stderr
        (folder / "stdout").write_text(done.stdout)
        (folder / "stderr").write_text(done.stderr)

    made = shared_folder(tmp_path_factory, "user_bundle", make)
    return made / "user", (made / "stdout").read_text(), (made / "stderr").read_text()
