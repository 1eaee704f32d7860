"""Independent trainings as one-thread processes side by side, resumable, with the time left.

Two threads of one training beside any other load are slower than one: each process gets
one thread, and as many run at once as there are cores. A job whose checkpoint exists is
finished; one that was stopped continues where its own state says.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class Job:
    """One ``tinyml`` command that leaves a checkpoint in ``out``.

    ``weight`` is how long it takes beside the others; ``needs`` are the folders of the
    jobs that come first.
    """

    out: Path
    arguments: tuple[str, ...]
    weight: float = 1.0
    needs: tuple[Path, ...] = ()

    @property
    def finished(self) -> bool:
        return (self.out / "checkpoint.safetensors").is_file()

    @property
    def command(self) -> str:
        """As a user types it."""
        return f"tinyml {' '.join(self.arguments)} --out {self.out}"


def run_all(jobs: Sequence[Job], workers: int) -> None:
    """Run what is not finished; exits with the log of the first that fails."""
    running: dict[Job, tuple[subprocess.Popen[bytes], float]] = {}
    pace: list[float] = []
    try:
        while not all(job.finished for job in jobs) or running:
            for job, (process, started) in list(running.items()):
                if process.poll() is None:
                    continue
                del running[job]
                if process.returncode:
                    sys.exit(f"failed ({process.returncode}): {job.command}\n{_log(job)}")
                pace.append((time.monotonic() - started) / job.weight)
                _say(jobs, job, pace, workers)
            for job in _ready(jobs, running)[: workers - len(running)]:
                running[job] = (_start(job), time.monotonic())
            time.sleep(POLL_S)
    finally:
        for process, _ in running.values():
            process.terminate()
            process.wait()


def _ready(
    jobs: Sequence[Job], running: dict[Job, tuple[subprocess.Popen[bytes], float]]
) -> list[Job]:
    done = {job.out for job in jobs if job.finished}
    return [
        job for job in jobs if job not in running and job.out not in done and set(job.needs) <= done
    ]


def _start(job: Job) -> subprocess.Popen[bytes]:
    job.out.parent.mkdir(parents=True, exist_ok=True)
    with _log(job).open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "tinyml.cli.main", *job.arguments, "--out", str(job.out)],
            stdout=log,
            stderr=log,
            env={**os.environ, **ONE_THREAD},
        )


def _log(job: Job) -> Path:
    return job.out.with_name(f"{job.out.name}.log")


def _say(jobs: Sequence[Job], job: Job, pace: Sequence[float], workers: int) -> None:
    left = [other for other in jobs if not other.finished]
    seconds = sum(other.weight for other in left) * sum(pace) / len(pace) / workers
    done = len(jobs) - len(left)
    print(f"[{done} of {len(jobs)}] {job.out.name}; about {seconds / 60:.0f} min left", flush=True)
