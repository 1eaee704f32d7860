"""Many exports of small networks: the same bytes as through fresh processes, and nothing is left.

    python benchmarks/export_same_bytes.py --exports 200 --work DIR

Each of `CASES` is exported once with a new process for every step; then ``--exports`` exports in
turn, as users run them, two at a time. Of each, every file of the bundle must be the same bytes; it
must end within `LIMIT_S`; and when the command has ended, none of its processes may be alive, nor a
file be left in its temporary folder. Exit 0 only then. Results are kept in ``--work``: the same
command again continues. 200 take about 25 minutes next to other work on two cores.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest import mock

import numpy as np

from tinyml.core.files import sha256
from tinyml.core.process import tied
from tinyml.core.subprocesses import Child, run_child
from tinyml.core.worker import Worker

LIMIT_S = 600.0
# What was killed may take so long to be gone.
GRACE_S = 0.5
MARK = "TINYML_SAME_BYTES"
NETWORKS = """\
import torch
from torch import nn


def seeded(make):
    def build() -> nn.Module:
        torch.manual_seed(0)
        return make()

    return build


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.body(x)


linear = seeded(lambda: nn.Sequential(nn.Linear(32, 8)))
three = seeded(lambda: nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 8)))
softmax = seeded(lambda: nn.Sequential(nn.Linear(32, 8), nn.Softmax(-1)))
residual = seeded(Residual)
depthwise = seeded(lambda: nn.Sequential(nn.Conv2d(4, 4, 3, groups=4), nn.Conv2d(4, 8, 1)))
along_time = seeded(lambda: nn.Sequential(nn.Conv1d(4, 8, 5), nn.GELU()))
"""
# Name -> network, options.
CASES: dict[str, tuple[str, list[str]]] = {
    "linear": ("linear", []),
    "three layers": ("three", []),
    "softmax": ("softmax", []),
    "residual": ("residual", []),
    "depthwise": ("depthwise", []),
    "along time": ("along_time", []),
    "half": ("depthwise", ["--precision", "fp16"]),
    "dynamic": ("linear", ["--precision", "w8-dynamic"]),
    "weights": ("three", ["--precision", "w8"]),
    "static": ("three", ["--precision", "w8a8-static", "--explain"]),
}
SHAPES = {"residual": (1, 4, 8, 8), "depthwise": (1, 4, 8, 8), "along_time": (1, 4, 32)}


class FreshProcesses(Worker):
    """Every step in a process of its own."""

    def run(self, steps: list[Child], timeout_s: float) -> None:  # type: ignore[override]
        for step in steps:
            run_child(
                step.module,
                step.arguments,
                log=step.log,
                timeout_s=timeout_s,
                memory_mb=self.memory_mb,
            )

    def run_apart(self, step: Child, timeout_s: float, **_: object) -> None:
        self.run([step], timeout_s)


def main() -> int:
    if sys.argv[1:2] == ["fresh"]:
        return fresh(sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--exports", type=int, default=200)
    parser.add_argument("--work", type=Path, required=True)
    asked = parser.parse_args()
    work: Path = asked.work.absolute()
    inputs(work)
    wanted = {name: reference(work, name) for name in CASES}
    results, start = work / "results.jsonl", time.monotonic()
    known = (
        [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    )
    left = [n for n in range(asked.exports) if n not in {own["number"] for own in known}]
    lock = threading.Lock()

    def one(number: int) -> None:
        name = list(CASES)[number % len(CASES)]
        found = {"number": number, "case": name, "fault": fault(work, number, name, wanted[name])}
        with lock, results.open("a") as file:
            file.write(json.dumps(found) + "\n")
            known.append(found)
            print(f"{len(known)} of {asked.exports}: {name} {found['fault']}", file=sys.stderr)

    with ThreadPoolExecutor(2) as lanes:
        list(lanes.map(one, left))
    faults = [own for own in known if own["fault"]]
    for own in faults:
        print(f"export {own['number']}, {own['case']}: {own['fault']}")
    took = time.monotonic() - start
    print(f"{len(known)} exports, {len(faults)} with a fault; {len(left)} of them in {took:.0f} s")
    return int(bool(faults))


def fresh(arguments: list[str]) -> int:
    """``tinyml`` with a process for every step."""
    from tinyml.cli.main import app

    with mock.patch("tinyml.pipeline.steps.export_plan.Worker", FreshProcesses):
        app(arguments)
    return 0


def inputs(work: Path) -> None:
    """The networks and a sample for each."""
    work.mkdir(parents=True, exist_ok=True)
    (work / "networks.py").write_text(NETWORKS, encoding="utf-8")
    rng = np.random.default_rng(0)
    for network, _ in CASES.values():
        shape = SHAPES.get(network, (1, 32))
        np.savez(work / f"{network}.npz", x=rng.standard_normal(shape, np.float32))


def command(work: Path, name: str, out: Path) -> list[str]:
    network, options = CASES[name]
    given = ["export", f"{work / 'networks.py'}:{network}", "--sample", f"{work / network}.npz"]
    both = ["--target", "rpi", "--formats", "onnx,tflite", "--force"]
    return [*given, *both, "--out", str(out), *options]


def reference(work: Path, name: str) -> dict[str, str]:
    """File -> digest, through fresh processes; kept in ``work``."""
    kept = work / f"reference-{name.replace(' ', '-')}.json"
    if not kept.exists():
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "bundle"
            arguments = [sys.executable, "-P", __file__, "fresh", *command(work, name, out)]
            done = subprocess.run(
                tied(arguments),
                capture_output=True,
                text=True,
                check=False,
                env=environment(folder),
            )
            if done.returncode:
                raise SystemExit(f"{name}: {done.stderr[-500:]}")
            kept.write_text(json.dumps(digests(out)), encoding="utf-8")
        print(f"{name}: exported through fresh processes", file=sys.stderr)
    found: dict[str, str] = json.loads(kept.read_text(encoding="utf-8"))
    return found


def fault(work: Path, number: int, name: str, wanted: dict[str, str]) -> str:
    """What is wrong with one export; empty: nothing."""
    with tempfile.TemporaryDirectory() as folder:
        temporary, out, mark = (
            Path(folder) / "tmp",
            Path(folder) / "bundle",
            f"{os.getpid()}-{number}",
        )
        temporary.mkdir()
        arguments = [sys.executable, "-P", "-m", "tinyml.cli.main", *command(work, name, out)]
        try:
            done = subprocess.run(
                tied(arguments),
                capture_output=True,
                text=True,
                check=False,
                env={**environment(str(temporary)), MARK: mark},
                timeout=LIMIT_S,
            )
        except subprocess.TimeoutExpired:
            return f"it did not end within {LIMIT_S:g} s"
        alive, files = living(mark), sorted(path.name for path in temporary.iterdir())
        if done.returncode:
            return f"exit {done.returncode}: {done.stderr[-300:]}"
        differ = sorted(n for n, _ in digests(out).items() ^ wanted.items())
        faults = {"other bytes": differ, "still alive": alive, "left": files}
        return "; ".join(f"{what}: {own}" for what, own in faults.items() if own)


def environment(temporary: str) -> dict[str, str]:
    own = {"OMP_NUM_THREADS": "1", "TMPDIR": temporary, "XDG_CACHE_HOME": temporary + "-cache"}
    return {**os.environ, **own}


def digests(folder: Path) -> dict[str, str]:
    return {path.name: sha256(path) for path in sorted(folder.iterdir())}


def living(mark: str) -> list[str]:
    """Commands of this user's processes whose environment holds ``mark``, after `GRACE_S`."""
    until = time.monotonic() + GRACE_S
    while (found := _living(mark)) and time.monotonic() < until:
        time.sleep(0.02)
    return found


def _living(mark: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={mark}".encode() in (path / "environ").read_bytes().split(b"\0"):
                found.append((path / "cmdline").read_bytes().replace(b"\0", b" ").decode()[:200])
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return [own for own in found if own]


if __name__ == "__main__":
    sys.exit(main())
