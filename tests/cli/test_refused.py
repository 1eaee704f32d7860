"""Networks that cannot be exported: the command line says what docs/refusals.md says."""

from __future__ import annotations

import inspect
import re
import runpy
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from refused_networks import FIXED

from tinyml.export.capture.failure_location import UNKNOWN

Cli = Callable[..., "subprocess.CompletedProcess[str]"]

ROOT = Path(__file__).parents[2]
SCRIPT = runpy.run_path(str(ROOT / "tools" / "refusals.py"))
PAGE = (ROOT / "docs" / "refusals.md").read_text(encoding="utf-8")
NAMES = {kind.__name__.lower(): kind.__name__ for kind in FIXED}
QUICK = ("gate", "counter")  # by torch.export, and by tinyml


def assert_refused(factory: str, folder: Path) -> None:
    code, said = SCRIPT["refusal"](factory, folder)
    assert code == 3, said
    assert f"\n{said}\n" in PAGE, "make refusals"
    error, hint = said.splitlines()
    assert re.match(r"error: .*'body\.1\.1(\.norm)?' \(\w+, net\.py:\d+\)( as ONNX)?: ", error)
    assert hint.startswith("hint: ")
    assert UNKNOWN not in hint
    assert "Traceback" not in said
    assert not (folder / "mine").exists()


@pytest.mark.parametrize("factory", QUICK)
def test_a_network_that_cannot_be_captured_is_refused(factory: str, tmp_path: Path) -> None:
    assert_refused(factory, tmp_path)


OPERATOR = """\
import torch
from torch import nn


@torch.library.custom_op("tests_cli::swish", mutates_args=())
def swish(x: torch.Tensor) -> torch.Tensor:
    return x * torch.sigmoid(x)


@swish.register_fake
def _(x):
    return torch.empty_like(x)


class Swish(nn.Module):
    def forward(self, x):
        return swish(x)


def net():
    return nn.Sequential(nn.Linear(8, 8), Swish())
"""


def test_an_operator_of_the_users_own_is_refused_at_once(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(OPERATOR)
    np.savez(tmp_path / "sample.npz", x=np.ones((1, 8), np.float32))
    sample, out = tmp_path / "sample.npz", tmp_path / "mine"
    more = ["--sample", sample, "--target", "rpi", "--out", out, "--timeout", 300]
    done = cli("export", tmp_path / "net.py:net", *more)
    assert done.returncode == 3, done.stderr
    part = r"'1' \(Swish, \S*net\.py:17\): tests_cli\.swish\(float32\[1, 8\]\) is a custom operator"
    assert re.search(part, done.stderr)
    assert "hint: " in done.stderr
    assert not out.exists()


@pytest.mark.slow
@pytest.mark.parametrize("factory", sorted(set(NAMES) - set(QUICK)))
def test_a_network_that_cannot_be_converted_is_refused(factory: str, tmp_path: Path) -> None:
    assert_refused(factory, tmp_path)


def test_the_page_shows_every_network_and_its_fix() -> None:
    for kind, fixed in FIXED.items():
        for part in (kind, fixed):
            assert inspect.getsource(part).strip() in PAGE, "make refusals"
    assert PAGE.count("\nerror: ") == PAGE.count("\nhint: ") == len(FIXED)
