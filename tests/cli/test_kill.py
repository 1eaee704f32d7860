"""Killed in the middle: nothing half-written, no child left, and the same command goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from shared_folder import shared_folder

Cli = Callable[..., "subprocess.CompletedProcess[str]"]

HEARING = """\
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("tinyml.cli.main", run_name="__main__", alter_sys=True)
"""


def start(*arguments: object) -> subprocess.Popen[bytes]:
    """A command of its own, deaf to no signal: a background shell would pass on a deaf SIGINT.

    Nothing is run between fork and exec: other tests have brought threads into this process.
    """
    command = [sys.executable, "-c", HEARING, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def wait_for(condition: Callable[[], object], seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it never came"
        time.sleep(0.02)


def children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in listed.split()]


def alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_killed_export_leaves_nothing_and_a_second_one_is_told(
    cli: Cli, small_run: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    first = start("export", small_run, "--target", "rpi", "--out", out)
    wait_for(lambda: children(first.pid))
    second = cli("export", small_run, "--target", "rpi", "--out", out)
    assert second.returncode == 2
    assert "another process is writing" in second.stderr
    born = children(first.pid)
    first.kill()
    first.wait()
    wait_for(lambda: not any(alive(pid) for pid in born), 10)
    assert not out.exists()


def test_a_terminated_export_says_so_and_cleans_up(small_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = start("export", small_run, "--target", "rpi", "--out", out)
    wait_for(lambda: children(first.pid))
    first.send_signal(signal.SIGTERM)
    assert first.wait(20) == 130
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def whole(cli: Cli, recipe_text: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 12 epochs that nothing has stopped, next to its recipe."""

    def make(folder: Path) -> None:
        recipe = folder / "r.toml"
        recipe.write_text(recipe_text.replace("epochs = 2", "epochs = 12"))
        done = cli("train", recipe, "--out", folder / "whole")
        assert done.returncode == 0, done.stderr

    return shared_folder(tmp_path_factory, "twelve_epochs", make) / "whole"


@pytest.mark.parametrize(
    "how",
    [
        signal.SIGINT,
        *(pytest.param(s, marks=pytest.mark.slow) for s in (signal.SIGKILL, signal.SIGTERM)),
    ],
)
def test_training_continues_to_the_same_bytes(
    cli: Cli, whole: Path, tmp_path: Path, how: signal.Signals
) -> None:
    recipe, cut = whole.parent / "r.toml", tmp_path / "cut"
    process = start("train", recipe, "--out", cut)
    wait_for(lambda: cut.is_dir() and any(cut.iterdir()))
    process.send_signal(how)
    assert process.wait(20) == (-how if how == signal.SIGKILL else 130)
    assert not (cut / "checkpoint.safetensors").exists()
    again = cli("train", recipe, "--out", cut)
    assert again.returncode == 0, again.stderr
    name = "checkpoint.safetensors"
    assert (cut / name).read_bytes() == (whole / name).read_bytes()
    assert os.listdir(cut) == os.listdir(whole)


@pytest.mark.slow
def test_a_killed_pruning_continues_to_the_same_bytes(
    cli: Cli, image_run: Path, tmp_path: Path
) -> None:
    asked = ("prune", image_run, "--method", "lottery", "--sparsity", "0.36", "--epochs", "3")
    whole = cli(*asked, "--out", tmp_path / "whole")
    assert whole.returncode == 0, whole.stderr
    cut, state = tmp_path / "cut", tmp_path / "cut" / "state.safetensors"
    process = start(*asked, "--out", cut)
    wait_for(lambda: state.is_file() and b"final/sparsity" in state.read_bytes())
    process.kill()
    process.wait()
    assert not (cut / "checkpoint.safetensors").exists()
    again = cli(*asked, "--out", cut)
    assert again.returncode == 0, again.stderr
    name = "checkpoint.safetensors"
    assert (cut / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
