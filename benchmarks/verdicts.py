"""How often a verdict on speed is wrong: ``python benchmarks/verdicts.py --work FOLDER``.

Compares a file of about 0.3 ms with a copy of itself, and with one of 93 layers instead of 84,
which does 11% more work:

    quiet   A, its copy and the slower B take turns, 200 times: the copy may be called faster or
            slower in at most 1%, and B must be called slower in at least 90%
    loaded  A and its copy, 200 times, next to a process that computes on each core: at most 1%

As in `tinyml compare --bench`, 12 processes of each file take turns, and up to 24 while a
difference is not sure. No verdict is not wrong. The quiet series needs a machine on which nothing
else runs. Each comparison is a line of ``FOLDER/verdicts.jsonl``; the same command continues after
a stop. CPU times of the same processes are judged too. ``--short`` makes three comparisons of each.
Exits with 1 if a rate is missed. The whole takes about 80 minutes on two cores.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from onnx import helper, numpy_helper, save

from tinyml.core.errors import DeviceError
from tinyml.core.measurement import Measurement
from tinyml.core.process import tied
from tinyml.core.time_ratio import TimeRatio, time_ratio
from tinyml.core.timing_plan import TimingPlan
from tinyml.device.measure import Job, JobResult, measure, measurements
from tinyml.pipeline.devices.links import open_link

COMPARISONS, SHORT = 200, 3
# Shorter than the default, so that all ends in 90 minutes; a verdict is harder to get right.
PLAN = TimingPlan(min_time_s=0.05)
# As tinyml compare has by default; next to a load, the fewest that give a verdict.
PROCESSES = {"quiet": 12, "loaded": 5}
LAYERS, SLOWER_LAYERS = 84, 93
SIDE = 64
# The series by name: the copies and files that are compared with A.
SERIES = {"quiet": ("copy", "slower"), "loaded": ("copy",)}
MOST_WRONG, LEAST_FOUND = 0.01, 0.90
BUSY = "import os\nwhile os.getppid() == {}: pass"


def main() -> int:
    """Run what is missing and print the rates."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--series", choices=SERIES, action="append", help="default: both")
    parser.add_argument("--short", action="store_true")
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    log = given.work / ("short.jsonl" if given.short else "verdicts.jsonl")
    count = SHORT if given.short else COMPARISONS
    files = write_files(given.work)
    for series in given.series or SERIES:
        done = sum(row["series"] == series for row in read(log))
        with load() if series == "loaded" else contextlib.nullcontext():
            for number in range(done, count):
                row = compared(series, number, files)
                with log.open("a", encoding="utf-8") as stream:
                    stream.write(json.dumps(row) + "\n")
                print(f"{series} {number + 1} of {count}: {told(row)}", flush=True)
    return summary(read(log))


def write_files(work: Path) -> dict[str, Path]:
    """A, its copy and B in ``work``: products of matrices, one after the other."""
    files = {name: work / f"{name}.onnx" for name in ("a", "copy", "slower")}
    for name, path in files.items():
        save(chain(SLOWER_LAYERS if name == "slower" else LAYERS), path)
    return files


def chain(layers: int) -> Any:
    """``layers`` products with the same orthogonal matrix, so that values stay as large."""
    names = ["x", *(f"t{place}" for place in range(layers - 1)), "y"]
    nodes = [helper.make_node("MatMul", [a, "w"], [b]) for a, b in pairwise(names)]
    random = np.random.default_rng(0).standard_normal((SIDE, SIDE))
    weight = numpy_helper.from_array(np.linalg.qr(random)[0].astype(np.float32), "w")
    x, y = (helper.make_tensor_value_info(name, 1, [SIDE, SIDE]) for name in "xy")
    graph = helper.make_graph(nodes, "chain", [x], [y], [weight])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


@contextlib.contextmanager
def load() -> Iterator[None]:
    """A process that computes on each core, for as long as the block."""
    command = [sys.executable, "-c", BUSY.format(os.getpid())]
    busy = [subprocess.Popen(tied(command)) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def compared(series: str, number: int, files: dict[str, Path]) -> dict[str, Any]:
    """One comparison: of A with each other file of the series, on both clocks."""
    inputs = {"x": np.eye(SIDE, dtype=np.float32)}
    names = ("a", *SERIES[series])
    jobs = [Job(files[name], "onnxruntime", inputs) for name in names]
    start = time.monotonic()
    with open_link() as link:
        results = measure(
            link, jobs, PROCESSES[series], plan=PLAN, seed=number, undecided=is_undecided
        )
    first, *others = measurements(results)
    verdicts = {
        name: {"wall": asdict(time_ratio(first, other)), "cpu": asdict(on_cpu(first, other))}
        for name, other in zip(names[1:], others, strict=True)
    }
    counted = [f"{len(m.processes)} of {len(m.all_processes)}" for m in (first, *others)]
    ms = None if first.p50_ns is None else first.p50_ns / 1e6
    row = {"series": series, "seconds": time.monotonic() - start, "counted": counted, "a_ms": ms}
    return row | {"verdicts": verdicts}


def is_undecided(results: Sequence[JobResult]) -> bool:
    """As in `tinyml compare`: wall times differ by more than the margin, and not surely."""
    first, *others = measurements(results)
    return any(time_ratio(first, other).is_undecided() for other in others)


def on_cpu(a: Measurement, b: Measurement) -> TimeRatio:
    try:
        return time_ratio(a.on_cpu_clock(), b.on_cpu_clock())
    except DeviceError as error:
        return TimeRatio(None, None, None, "no verdict", error.message)


def read(log: Path) -> list[dict[str, Any]]:
    """The comparisons so far; a line that a kill cut off is not one."""
    rows = []
    for line in log.read_text("utf-8").splitlines() if log.exists() else ():
        with contextlib.suppress(ValueError):
            rows.append(json.loads(line))
    return rows


def told(row: dict[str, Any]) -> str:
    parts = [f"{row['seconds']:.1f} s"]
    for name, clocks in row["verdicts"].items():
        parts += [f"{name} by {clock}: {shown(found)}" for clock, found in clocks.items()]
    return "; ".join(parts)


def shown(found: dict[str, Any]) -> str:
    if found["low"] is None:
        return f"no verdict ({found['why']})"
    return f"{found['verdict']} {found['ratio']:.3f} ({found['low']:.3f} to {found['high']:.3f})"


def summary(rows: list[dict[str, Any]]) -> int:
    """Print how often each verdict was given; 1 where a rate is missed."""
    missed = False
    for series, names in SERIES.items():
        own = [row for row in rows if row["series"] == series]
        for name in names if own else ():
            for clock in ("wall", "cpu"):
                found = Counter(row["verdicts"][name][clock]["verdict"] for row in own)
                counts = ", ".join(f"{verdict} {count}" for verdict, count in found.most_common())
                print(f"{series}, A against {name}, {clock} time, {len(own)}: {counts}")
                if clock == "wall":
                    missed |= is_missed(name, found)
        minutes = sum(row["seconds"] for row in own) / 60
        print(f"{series}: {minutes:.1f} minutes")
    print("a rate is missed" if missed else "all rates are met")
    return int(missed)


def is_missed(name: str, found: Counter[str]) -> bool:
    """Whether more are wrong, or fewer are found, than the rates allow."""
    total = sum(found.values())
    if name == "slower":
        return found["slower"] < LEAST_FOUND * total
    return found["faster"] + found["slower"] > MOST_WRONG * total


if __name__ == "__main__":
    sys.exit(main())
