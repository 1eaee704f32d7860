"""Train what a paper's claim needs, and write what came out: ``docs/evidence/CLAIM.md``.

    python tools/reproduce lottery --budget 60

Interrupted, the same command continues. The length is fixed by the first call for a
folder; delete the folder for another one.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lottery
import page
import rewinding
import sparse
import tinynet
from jobs import Job, run_all
from length import Length, planned

from tinyml.core.files import write_bytes

CLAIMS = {
    "lottery": lottery,
    "rewinding": rewinding,
    "sparse": sparse,
    "tinynet": tinynet,
}


REHEARSAL_MINUTES = 0.05


def main() -> None:
    # Terminated like interrupted: the trainings end too, and continue next time.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("claim", choices=CLAIMS, nargs="?")
    parser.add_argument("--budget", type=float, default=60.0, help="minutes on all cores")
    parser.add_argument("--set", default="", help="another image set: shapes needs no data")
    parser.add_argument("--runs", type=Path, default=Path("runs/evidence"), help="where runs go")
    parser.add_argument("--docs", type=Path, default=page.DOCS, help="where the page goes")
    parser.add_argument("--only", nargs="+", default=[], help="runs to make now: seed0/dense ...")
    parser.add_argument("--copy-to", type=Path, help="with --only: copy their checkpoints there")
    parser.add_argument("--rehearse", action="store_true", help="every path once, thrown away")
    asked = parser.parse_args()
    if asked.rehearse:
        _rehearse()
    elif asked.claim is None:
        parser.error("name a claim, or --rehearse")
    elif asked.only:
        _some(asked)
    else:
        _reproduce(asked.claim, asked.budget, asked.set, asked.runs, asked.docs)


def _some(asked: argparse.Namespace) -> None:
    """Only the runs that are named, and those that they need; no page."""
    claim, folder = CLAIMS[asked.claim], asked.runs / asked.claim
    length = planned(folder, asked.budget, claim.COST, asked.set or claim.SET, claim.PER_CLASS)
    wanted = {folder / name for name in asked.only}
    jobs = claim.jobs(folder, length)
    if unknown := wanted - {job.out for job in jobs}:
        known = ", ".join(str(job.out.relative_to(folder)) for job in jobs)
        sys.exit(f"no run is called {min(unknown).relative_to(folder)}; there are {known}")
    for job in reversed(jobs):
        wanted |= set(job.needs) if job.out in wanted else set()
    run_all([job for job in jobs if job.out in wanted], length.workers, _pace(claim, jobs, length))
    for name in asked.only if asked.copy_to else ():
        copied = asked.copy_to / f"{asked.claim}-{Path(name).name}.safetensors"
        write_bytes(copied, (folder / name / "checkpoint.safetensors").read_bytes())
        print(f"written: {copied}")


def _rehearse() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for claim in CLAIMS:
            print(claim, flush=True)
            _reproduce(claim, REHEARSAL_MINUTES, "shapes", folder / "runs", folder / "docs")
            text = (folder / "docs" / f"{claim}.md").read_text(encoding="utf-8")
            if "Too short to judge" not in text:
                sys.exit(f"{claim}: a rehearsal must say that it is one")


def _reproduce(name: str, minutes: float, image_set: str, runs: Path, docs: Path) -> None:
    claim, folder = CLAIMS[name], runs / name
    length = planned(folder, minutes, claim.COST, image_set or claim.SET, claim.PER_CLASS)
    print(
        f"{length.seeds} seeds, {length.epochs} epochs each, {length.workers} at once", flush=True
    )
    jobs = claim.jobs(folder, length)
    run_all(jobs, length.workers, _pace(claim, jobs, length))
    docs.mkdir(parents=True, exist_ok=True)
    print(f"written: {page.write(claim.page(folder, length, docs), name, length, docs)}")


def _pace(claim: Any, jobs: Sequence[Job], length: Length) -> float:
    """Seconds that a job of weight 1 is expected to take, by the claim's cost."""
    weights = sum(job.weight for job in jobs)
    return float(claim.COST.epoch_s) * length.epochs * length.seeds / weights


if __name__ == "__main__":
    main()
