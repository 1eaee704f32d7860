"""The commands that are killed, on inputs that are as small as they can be."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from small_recipes import IMAGES, SOUNDS

from tinyml.core import checkpoint
from tinyml.core.files import write_text
from tinyml.core.process import python_module, tied

NET = """\
from torch import nn


def tiny() -> nn.Module:
    return nn.Sequential(nn.Linear(1024, 1024), nn.ReLU(), nn.Linear(1024, 1024))
"""
# So many that a process that times a model lives longer than `checks.GRACE_S`.
CALLS = "4000"


@dataclass(frozen=True, slots=True)
class Command:
    """One command line, run in a folder of its own.

    written    the output, a name in that folder; empty: it writes none
    arguments  inputs' folder, the place -> the command line behind ``tinyml``
    existing   an input that lies at ``written`` before the first kill; empty: none
    same       an input that the finished output must equal; empty: none
    share      how many of 100 kills
    needs      inputs that `make_inputs` makes
    """

    name: str
    written: str
    arguments: Callable[[Path, Path], list[str]]
    share: int
    needs: tuple[str, ...] = ()
    existing: str = ""
    same: str = ""

    def prepare(self, inputs: Path, place: Path) -> None:
        """Make ``place`` anew, with files of a user next to where the outputs go."""
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        for name in (f".{self.name}.json.bak", f".{self.written}.tmp-notes", "thesis.md"):
            write_text(place / name, "mine\n")
        if self.same:
            write_text(place / self.written / ".notes.json.bak", "mine\n")
        if self.existing:
            _copy(inputs / self.existing, place / self.written)

    def wrong(self, inputs: Path, place: Path) -> str:
        """What is wrong with the output of a whole run; empty: nothing."""
        if self.written and not (place / self.written).exists():
            return f"{self.written} is missing"
        if not self.same:
            return ""
        made = place / self.written / checkpoint.FILE
        if not made.is_file():
            return "the checkpoint is missing"
        same = made.read_bytes() == (inputs / self.same / checkpoint.FILE).read_bytes()
        return "" if same else "the checkpoint is not that of an unkilled run"


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    else:
        shutil.copyfile(source, target)


def _prune(inputs: Path, place: Path) -> list[str]:
    how = ["--method", "magnitude", "--sparsity", "0.5", "--epochs", "2"]
    return ["prune", str(inputs / "images"), *how, "--out", str(place / "run")]


def _export(inputs: Path, place: Path, fmt: str, *more: str) -> list[str]:
    model = [f"{inputs / 'net.py'}:tiny", "--sample", str(inputs / "sample.npz")]
    out = ["--formats", fmt, "--out", str(place / "bundle")]
    return ["export", *model, "--target", "rpi", *out, *more]


def _bench(inputs: Path, place: Path) -> list[str]:
    how = ["--repeats", "2", "--runs", CALLS]
    return ["bench", str(inputs / "onnx"), *how, "--out", str(place / "bench.json")]


def _compare(inputs: Path, place: Path) -> list[str]:
    how = ["--bench", "--repeats", "5", "--runs", "50"]
    return ["compare", str(inputs / "tflite"), str(inputs / "onnx"), *how]


COMMANDS = (
    Command(
        "train",
        "run",
        lambda inputs, place: ["train", str(inputs / "sounds.toml"), "--out", str(place / "run")],
        share=22,
        needs=("sounds",),
        same="sounds",
    ),
    Command("prune", "run", _prune, share=18, needs=("images", "pruned"), same="pruned"),
    Command("export", "bundle", lambda i, p: _export(i, p, "onnx"), share=12),
    Command(
        "export --force",
        "bundle",
        lambda i, p: _export(i, p, "tflite", "--force"),
        share=12,
        needs=("onnx",),
        existing="onnx",
    ),
    Command(
        "bench", "bench.json", _bench, share=20, needs=("onnx", "bench.json"), existing="bench.json"
    ),
    Command("compare", "", _compare, share=16, needs=("onnx", "tflite")),
)


def make_inputs(folder: Path, needs: set[str], environment: Mapping[str, str]) -> None:
    """Make what commands take and what they must equal; of runs and bundles only ``needs``."""
    write_text(folder / "net.py", NET)
    write_text(folder / "sounds.toml", SOUNDS.replace("epochs = 2", "epochs = 4"))
    write_text(folder / "images.toml", IMAGES)
    rng = np.random.default_rng(0)
    np.savez(folder / "sample.npz", input=rng.normal(size=(1, 1024)).astype(np.float32))
    place = folder / "place"
    place.mkdir()
    by_name = {command.name: command.arguments for command in COMMANDS}
    steps = [
        (by_name["train"](folder, place), "run", "sounds"),
        (["train", str(folder / "images.toml"), "--out", str(place / "run")], "run", "images"),
        (by_name["prune"](folder, place), "run", "pruned"),
        (by_name["export"](folder, place), "bundle", "onnx"),
        (by_name["export --force"](folder, place), "bundle", "tflite"),
        (by_name["bench"](folder, place), "bench.json", "bench.json"),
    ]
    for arguments, made, name in steps:
        if name in needs:
            done = subprocess.run(
                tied(tinyml(arguments)),
                env=dict(environment),
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise SystemExit(f"cannot make the input {name}: {done.stderr[-500:]}")
            (place / made).rename(folder / name)


def tinyml(arguments: list[str]) -> list[str]:
    """The command line of ``tinyml`` with ``arguments``, in this Python."""
    return python_module("tinyml.cli.main", arguments)
