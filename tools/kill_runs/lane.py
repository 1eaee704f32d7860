"""One command after another, each killed at a random moment some times and then run whole."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import time
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import checks
from checks import FAILED, MARK, Finding
from commands import Command, tinyml

from tinyml.core.process import tied

# Of those whole runs that a command's duration is the mean of.
REMEMBERED = 4
TIMEOUT_S = 600.0


@dataclass(slots=True)
class Tally:
    """What became of one command: kills, runs that ended before their kill, findings."""

    kills: int = 0
    ended: int = 0
    whole: int = 0
    findings: list[Finding] = field(default_factory=list)
    durations_s: list[float] = field(default_factory=list)

    @property
    def duration_s(self) -> float:
        """The mean of the last whole runs."""
        last = self.durations_s[-REMEMBERED:]
        return sum(last) / len(last)

    def counts(self) -> Counter[str]:
        return Counter(finding.kind for finding in self.findings)


@dataclass(frozen=True, slots=True)
class Lane:
    """``inputs`` are shared and never written to; ``folder`` is this lane's own."""

    inputs: Path
    folder: Path
    rng: random.Random

    def environment(self, mark: str = "") -> dict[str, str]:
        """One thread, and folders for temporary files and the cache in which to look."""
        return environment(self.folder, mark)

    def episode(self, command: Command, kills: int, tally: Tally) -> None:
        """Kill ``command`` ``kills`` times, then run it whole; findings go to ``tally``."""
        place = self.folder / "place"
        self._fresh(command, place)
        if not tally.durations_s:
            self._whole(command, place, tally)
            self._fresh(command, place)
        for number in range(kills):
            after_s = self.rng.uniform(0, tally.duration_s)
            before = checks.outputs(place)
            mark = uuid.uuid4().hex
            killed = self._kill(command, place, after_s, mark)
            found = [*checks.orphans(mark), *checks.lost(place, before, command.written)]
            found += checks.half_written(place)
            how = f"kill {number + 1} after {after_s:.2f} s" if killed else "a whole run"
            tally.findings += [Finding(f.kind, f"{how}: {f.text}") for f in found]
            tally.kills += killed
            if not killed:
                tally.ended += 1
                self._fresh(command, place)
        self._whole(command, place, tally)

    def _fresh(self, command: Command, place: Path) -> None:
        command.prepare(self.inputs, place)
        shutil.rmtree(self.folder / "cache", ignore_errors=True)

    def _kill(self, command: Command, place: Path, after_s: float, mark: str) -> bool:
        """Whether the process was killed: it may have ended before."""
        process = self._start(command, place, mark)
        try:
            process.wait(after_s)
        except subprocess.TimeoutExpired:
            process.kill()
        return process.wait() == -9

    def _start(self, command: Command, place: Path, mark: str) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("wb") as log:
            return subprocess.Popen(
                tied(tinyml(command.arguments(self.inputs, place))),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.environment(mark),
                cwd=self.folder,
            )

    def _whole(self, command: Command, place: Path, tally: Tally) -> None:
        """The next run, to its end: everything is as if nobody had been killed."""
        before, mark = checks.outputs(place), uuid.uuid4().hex
        started = time.monotonic()
        code = self._start(command, place, mark).wait(TIMEOUT_S)
        tally.durations_s.append(time.monotonic() - started)
        tally.whole += 1
        found = [*checks.orphans(mark), *checks.lost(place, before, command.written)]
        found += checks.half_written(place)
        found += checks.left(place, self.folder / "tmp", self.folder / "cache")
        wrong = command.wrong(self.inputs, place)
        if code or wrong:
            log = (self.folder / "log").read_text(errors="replace").strip()[-500:]
            found.append(Finding(FAILED, f"exit code {code}, {wrong or 'whole'}: {log}"))
        tally.findings += [Finding(f.kind, f"the next run: {f.text}") for f in found]
        shutil.rmtree(self.folder / "tmp")
        (self.folder / "tmp").mkdir()


def environment(folder: Path, mark: str = "") -> dict[str, str]:
    """For the children of this script: one thread, own folders, and a mark to find them by."""
    for name in ("tmp", "cache"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    own: Mapping[str, str] = {
        "OMP_NUM_THREADS": "1",
        "TMPDIR": str(folder / "tmp"),
        "TINYML_CACHE": str(folder / "cache"),
        MARK: mark,
    }
    return {**os.environ, **own}
