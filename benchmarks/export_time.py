"""CPU and wall seconds of an export, this checkout against another revision, interleaved.

    python benchmarks/export_time.py --against 71f7617 --runs 5
    python benchmarks/export_time.py --only three-layer --json

Exports: a network of three layers of a user's in both formats; MobileNet-v1 1.0 at 224 x 224
(seed 0, untrained) in both formats; the trained network of ``examples/keyword_spotting.py``
as w8a8-static with ``--explain``. An export that the gate refuses counts too. CPU seconds are
those of the command with all its child processes; the share of each child is sampled from /proc
and may lack its last 50 ms. Medians of ``--runs``, revisions in a random order within each run
(seed 0).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import runpy
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from tinyml.core.process import tied
from tinyml.models.mobilenet_v1 import MOBILENET_V1

ROOT = Path(__file__).parents[1]
HERE = "here"
POLL_S = 0.05
# The gate refuses the files: the work is the same.
REFUSED = 5
TICK_S = 1 / os.sysconf("SC_CLK_TCK")
THREE = """\
import torch
from torch import nn


def build() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 8))
"""


@dataclass
class Times:
    """Of one export by one revision, a value a run; ``children``: module -> its CPU seconds."""

    cpu_s: list[float] = field(default_factory=list)
    wall_s: list[float] = field(default_factory=list)
    children: list[dict[str, float]] = field(default_factory=list)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--against", default="", help="a revision of this repository")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", default="", help="three-layer, mobilenet or keyword")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, _trees(asked.against) as trees:
        folder, order = Path(name), random.Random(0)
        exports = {n: a for n, a in _exports(folder).items() if asked.only in ("", n)}
        found = {(n, tree): Times() for n in exports for tree in trees}
        for run in range(asked.runs):
            for export, arguments in exports.items():
                for tree in order.sample(list(trees), len(trees)):
                    out = folder / f"{export}-{tree}-{run}"
                    _time([*arguments, "--out", str(out)], trees[tree], found[export, tree])
                    print(f"{export} {tree} {run}", file=sys.stderr, flush=True)
    if asked.json:
        rows = [{"export": n, "tree": t, **vars(own)} for (n, t), own in found.items()]
        print(json.dumps(rows, indent=2))
    else:
        _table(found, asked.against)
    return 0


def _table(found: dict[tuple[str, str], Times], against: str) -> None:
    print(f"{'export':12} {'revision':10} {'CPU s':>7} {'wall s':>7} {'less CPU':>9}  children")
    for (export, tree), own in found.items():
        cpu, wall = statistics.median(own.cpu_s), statistics.median(own.wall_s)
        other = found.get((export, against))
        less = f"{statistics.median(other.cpu_s) / cpu:.2f}x" if other and tree == HERE else ""
        print(f"{export:12} {tree:10} {cpu:7.1f} {wall:7.1f} {less:>9}  {_shares(own)}")


def _shares(own: Times) -> str:
    """Medians of each child, in the order of their names."""
    names = sorted({name for run in own.children for name in run})
    medians = {n: statistics.median(run.get(n, 0.0) for run in own.children) for n in names}
    return ", ".join(f"{name} {seconds:.1f}" for name, seconds in medians.items())


@contextmanager
def _trees(against: str) -> Iterator[dict[str, Path]]:
    """Revision -> a checkout of it."""
    with tempfile.TemporaryDirectory() as folder:
        trees = {HERE: ROOT}
        if against:
            tree = Path(folder) / "tree"
            git = ["git", "-C", str(ROOT), "worktree"]
            subprocess.run(tied([*git, "add", "-q", "--detach", str(tree), against]), check=True)
            trees[against] = tree
        try:
            yield trees
        finally:
            if against:
                subprocess.run(tied([*git, "remove", "--force", str(tree)]), check=True)


def _time(arguments: list[str], tree: Path, into: Times) -> None:
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    # Without -P: an older revision's children take its modules from the current folder.
    process = subprocess.Popen(
        tied([sys.executable, "-m", "tinyml.cli.main", "export", *arguments]),
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    children: dict[int, tuple[str, float]] = {}
    while process.poll() is None:
        children |= _sampled(process.pid)
        time.sleep(POLL_S)
    assert process.stderr is not None
    said = process.stderr.read().decode()
    if process.returncode not in (0, REFUSED):
        raise SystemExit(f"{' '.join(arguments)} in {tree}: {said[-500:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    into.wall_s.append(time.monotonic() - start)
    into.cpu_s.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    shares: dict[str, float] = {}
    for module, seconds in children.values():
        shares[module] = shares.get(module, 0.0) + seconds
    into.children.append(shares)


def _sampled(parent: int) -> dict[int, tuple[str, float]]:
    """Process -> module and CPU seconds, of the children of ``parent``."""
    found = {}
    try:
        text = Path(f"/proc/{parent}/task/{parent}/children").read_text()
    except FileNotFoundError:
        return {}
    for pid in map(int, text.split()):
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        modules = [word for word in words if word.startswith("tinyml.")]
        if modules:
            seconds = (int(fields[11]) + int(fields[12])) * TICK_S
            found[pid] = (modules[-1].rpartition(".")[2], seconds)
    return found


def _exports(folder: Path) -> dict[str, list[str]]:
    """Name -> arguments of ``tinyml export``, with their files in ``folder``."""
    torch.manual_seed(0)
    save_file(MOBILENET_V1.build(1000).state_dict(), folder / "m.safetensors")
    (folder / "three.py").write_text(THREE)
    rng = np.random.default_rng(0)
    np.savez(folder / "three.npz", input=rng.standard_normal((1, 32), np.float32))
    both = ["--target", "rpi", "--formats", "onnx,tflite"]
    network = ROOT / "examples" / "keyword_spotting.py"
    example = runpy.run_path(str(network))
    save_file(example["trained"]().state_dict(), folder / "k.safetensors")
    audio, _ = example["words"](32, seed=3)
    np.savez(folder / "keyword.npz", audio=audio[:1])
    np.savez(folder / "calibration.npz", audio=audio[:, None])
    keyword = [f"{network}:KeywordNet", "--weights", str(folder / "k.safetensors"), *both]
    keyword += ["--sample", str(folder / "keyword.npz")]
    keyword += ["--precision", "w8a8-static", "--explain"]
    keyword += ["--calibration", str(folder / "calibration.npz")]
    three = [f"{folder / 'three.py'}:build", "--sample", str(folder / "three.npz"), *both]
    mobilenet = ["mobilenet-v1", "--weights", str(folder / "m.safetensors"), *both]
    return {"three-layer": three, "mobilenet": mobilenet, "keyword": keyword}


if __name__ == "__main__":
    sys.exit(main())
