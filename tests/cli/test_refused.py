"""Six networks that cannot be exported: the command line says what docs/refusals.md says."""

from __future__ import annotations

import re
import runpy
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

Cli = Callable[..., "subprocess.CompletedProcess[str]"]

ROOT = Path(__file__).parents[2]
SCRIPT = runpy.run_path(str(ROOT / "tools" / "refusals.py"))
PAGE = (ROOT / "docs" / "refusals.md").read_text(encoding="utf-8")
FIXES = {
    "gate": "choose with torch.where",
    "counter": "make the state an input and an output",
    "scale": "keep the value a tensor",
    "phase": "products with cosines",
    "loud": "fix every shape",
    "spectrum": "products with cosines",
}
QUICK = ("gate", "counter")  # those that are refused before any conversion


def assert_refused(factory: str, folder: Path) -> None:
    code, said = SCRIPT["refusal"](factory, folder)
    assert code == 3, said
    assert f"\n{said}\n" in PAGE, "make refusals"
    error, hint = said.splitlines()
    place = rf"'body\.1\.1' \({factory.capitalize()}, net\.py:\d+\): "
    assert re.match(rf"error: .*{place}", error)
    assert FIXES[factory] in hint
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
    part = r"'1' \(Swish, \S*net\.py:17\): it calls the custom operator 'tests_cli::swish'"
    assert re.search(part, done.stderr)
    assert "hint: " in done.stderr
    assert not out.exists()


@pytest.mark.slow
@pytest.mark.parametrize("factory", sorted(set(FIXES) - set(QUICK)))
def test_a_network_that_cannot_be_converted_is_refused(factory: str, tmp_path: Path) -> None:
    assert_refused(factory, tmp_path)


def test_the_page_shows_all_six() -> None:
    assert set(SCRIPT["FACTORIES"]) == set(FIXES)
    assert PAGE.count("\nerror: ") == PAGE.count("\nhint: ") == len(FIXES)
