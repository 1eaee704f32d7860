"""Independent trainings as one-thread processes side by side, resumable, with the time left.

Two threads of one training beside any other load are slower than one: each process gets
one thread, and as many run at once as there are cores. A job whose checkpoint exists is
finished; one that was stopped continues where its own state says.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tinyml.core.process import child_environment, python_module, tied

ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
POLL_S = 0.2
TOLD_S = 60.0


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


Running = dict[Job, tuple["subprocess.Popen[bytes]", float]]


def run_all(jobs: Sequence[Job], workers: int, pace_s: float) -> None:
    """Run what is not finished; exits with the log of the first that fails.

    ``pace_s`` is how long a job of weight 1 is expected to take, until some have ended.
    """
    running: Running = {}
    paces: list[float] = []
    told = 0.0
    try:
        while not all(job.finished for job in jobs) or running:
            for job in [job for job, (process, _) in running.items() if process.poll() is not None]:
                paces.append(_ended(job, *running.pop(job)))
                told = 0.0
            for job in _ready(jobs, running)[: workers - len(running)]:
                running[job] = (_start(job), time.monotonic())
            if time.monotonic() - told > TOLD_S:
                told = time.monotonic()
                _say(jobs, running, sum(paces) / len(paces) if paces else pace_s, workers)
            time.sleep(POLL_S)
    finally:
        for process, _ in running.values():
            process.terminate()
            process.wait()


def _ended(job: Job, process: subprocess.Popen[bytes], started: float) -> float:
    """Seconds that a job of weight 1 takes, by this one."""
    if process.returncode:
        sys.exit(f"failed ({process.returncode}): {job.command}\n{_log(job)}")
    return (time.monotonic() - started) / job.weight


def _ready(jobs: Sequence[Job], running: Running) -> list[Job]:
    done = {job.out for job in jobs if job.finished}
    return [
        job for job in jobs if job not in running and job.out not in done and set(job.needs) <= done
    ]


def _start(job: Job) -> subprocess.Popen[bytes]:
    job.out.parent.mkdir(parents=True, exist_ok=True)
    arguments = [*job.arguments, "--out", str(job.out), "--json"]
    with _log(job).open("ab") as log:
        return subprocess.Popen(
            tied(python_module("tinyml.cli.main", arguments)),
            stdout=log,
            stderr=log,
            env=child_environment(ONE_THREAD),
        )


def _log(job: Job) -> Path:
    return job.out.with_name(f"{job.out.name}.log")


def _say(jobs: Sequence[Job], running: Running, pace_s: float, workers: int) -> None:
    left = 0.0
    for job in (job for job in jobs if not job.finished):
        spent = time.monotonic() - running[job][1] if job in running else 0.0
        left += max(0.0, job.weight * pace_s - spent)
    done = sum(job.finished for job in jobs)
    names = ", ".join(f"{job.out.parent.name}/{job.out.name}" for job in running) or "nothing"
    minutes = left / 60 / workers
    print(f"[{done} of {len(jobs)}] {names}; about {minutes:.0f} min left", flush=True)
