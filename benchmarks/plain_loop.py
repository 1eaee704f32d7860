"""`tinyml bench` against a plain loop: ``python benchmarks/plain_loop.py --work FOLDER``.

Two networks of convolutions, of about 0.3 and 10 ms a call, are exported into FOLDER and timed in
LiteRT and onnxruntime with one thread. In each turn, a process of the runner as `tinyml bench`
starts it and one of `plain_calls.py` follow each other in a random order (seed 0). Prints the
ratio of the medians of all calls on both clocks. A turn counts if the runner's process does by the
rules of `tinyml bench`, and if wall time is not more than 10% longer than CPU time in the other.

Exits with 1 if a ratio of wall times is not within 5%, or too few turns count on a busy machine.
``--quick`` is a first look: 3 turns instead of 10, with shorter processes. The whole takes about
5 minutes after the export.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import nn

from tinyml import build_bundle
from tinyml.core.array_files import write_npz
from tinyml.core.process import tied
from tinyml.core.timing_plan import FULL, TimingPlan
from tinyml.core.validity import MOST_WAITING
from tinyml.device.link import Link
from tinyml.device.measure import Job, measure, measurements
from tinyml.pipeline.bench_jobs import jobs_of
from tinyml.pipeline.devices.links import open_link

PLAIN = Path(__file__).with_name("plain_calls.py")
# Milliseconds of a call, about -> channels, height and width, layers.
NETWORKS = {"0.3": (32, 24, 3), "10": (64, 40, 12)}
TARGET = "rpi"
MOST_OFF = 0.05
TURNS, QUICK_TURNS = 10, 3
SECONDS, QUICK_SECONDS = 2.0, 0.5
LEAST_TURNS = 3
SEED = 0


@dataclass(frozen=True)
class Calls:
    """Times of one process in nanoseconds; ``counts``: it was not disturbed."""

    wall: Sequence[int]
    cpu: Sequence[int]
    counts: bool


@dataclass(frozen=True)
class Turn:
    """A process of the runner and one of the plain loop, one right after the other."""

    tinyml: Calls
    plain: Calls

    @property
    def counts(self) -> bool:
        return self.tinyml.counts and self.plain.counts


def main() -> int:
    """Print a row for each file; 1 where one is off, or cannot be judged."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    count, seconds = (QUICK_TURNS, QUICK_SECONDS) if given.quick else (TURNS, SECONDS)
    plan = TimingPlan(min_samples=FULL.min_samples if seconds > 1 else 20, min_time_s=seconds)
    missed = False
    print("network  runtime      turns  tinyml ms  plain ms   wall     cpu")
    with open_link() as link:
        for name, size in NETWORKS.items():
            bundle = exported(given.work / f"{name}-ms", *size)
            for job in jobs_of(bundle, given.work, TARGET).jobs:
                missed |= judged(name, job, taken(link, job, plan, given.work, count))
    return int(missed)


def exported(folder: Path, channels: int, side: int, layers: int) -> Path:
    """The bundle of a network in ``folder``, made if it is not there."""
    if not folder.exists():
        steps = [nn.Conv2d(channels, channels, 3, padding=1) for _ in range(layers)]
        network = nn.Sequential(*(step for own in steps for step in (own, nn.ReLU())))
        sample = np.ones((1, channels, side, side), np.float32)
        build_bundle(network, {"x": sample}, TARGET, out=folder, name="convolutions")
    return folder


def taken(link: Link, job: Job, plan: TimingPlan, work: Path, count: int) -> list[Turn]:
    """``count`` turns, of which some may not count."""
    write_npz(work / "inputs.npz", job.inputs)
    order = random.Random(SEED)
    turns = []
    for _ in range(count):
        found = {}
        for which in order.sample(("tinyml", "plain"), 2):
            if which == "tinyml":
                found[which] = by_tinyml(link, job, plan)
            else:
                found[which] = by_plain_loop(job, work / "inputs.npz", plan.min_time_s)
        turns.append(Turn(**found))
    return turns


def by_tinyml(link: Link, job: Job, plan: TimingPlan) -> Calls:
    """One process, as `tinyml bench` starts, times and judges it."""
    (found,) = measurements(measure(link, [job], 1, plan=plan))
    process = found.all_processes[0]
    return Calls(process.samples_ns, process.cpu_ns, bool(found.processes))


def by_plain_loop(job: Job, inputs: Path, seconds: float) -> Calls:
    command = [sys.executable, str(PLAIN), str(job.path), str(inputs), str(seconds)]
    done = subprocess.run(tied(command), capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    is_steady = sum(found["wall"]) <= (1 + MOST_WAITING) * sum(found["cpu"])
    return Calls(found["wall"], found["cpu"], is_steady)


def judged(network: str, job: Job, turns: Sequence[Turn]) -> bool:
    """Print the row of ``job``; whether its wall time is off or cannot be judged."""
    counted = [own for own in turns if own.counts]
    is_busy = len(counted) < min(LEAST_TURNS, len(turns))
    shown = turns if is_busy else counted
    ms = {
        (who, clock): median_ms([getattr(getattr(own, who), clock) for own in shown])
        for who in ("tinyml", "plain")
        for clock in ("wall", "cpu")
    }
    wall, cpu = (ms["tinyml", clock] / ms["plain", clock] for clock in ("wall", "cpu"))
    is_off = abs(wall - 1) > MOST_OFF
    verdict = "machine too busy" if is_busy else "off" if is_off else f"within {MOST_OFF:.0%}"
    print(
        f"{network + ' ms':<8} {job.runtime:<12} {len(counted):>2}/{len(turns):<2} "
        f"{ms['tinyml', 'wall']:10.3f} {ms['plain', 'wall']:9.3f}  {wall:5.3f}   {cpu:5.3f}  "
        f"{verdict}",
        flush=True,
    )
    return is_busy or is_off


def median_ms(processes: Sequence[Sequence[int]]) -> float:
    """Of all calls of all ``processes``."""
    return statistics.median(ns for process in processes for ns in process) / 1e6


if __name__ == "__main__":
    sys.exit(main())
