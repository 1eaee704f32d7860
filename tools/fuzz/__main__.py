"""Broken and made-up files of every kind against every reader of them.

    python tools/fuzz --files 10000 --seed 0
    python tools/fuzz --seconds 30
    python tools/fuzz --seed 0 --only 1234

Each file is read, or is one line that names it and exit code 3: its reader refused it, or a child
process died of a model file (a signal, a limit of memory or time, an exception). Anything else is
a finding: it is kept, named and printed, and the exit code is 5. Manifests, checkpoints, recipes,
references, benchmarks and arrays have no child: of them every exception is a finding.
"""

from __future__ import annotations

import argparse
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import mutate
import seeds

from tinyml.core.files import write_bytes
from tinyml.core.process import tied

READER = Path(__file__).with_name("reader.py")
KEPT = Path("build/fuzz")
# On the wall, for a machine that is busy; the reader itself counts processor time.
PATIENCE_S = 60.0
# As many findings are kept and printed, and so many deaths end it.
SHOWN = 20
UNLIMITED = 1 << 62


@dataclass(slots=True)
class Tally:
    """Files by what was said of them; ``findings`` are (number, what)."""

    said: Counter[str] = field(default_factory=Counter)
    findings: list[tuple[int, str]] = field(default_factory=list)

    def take(self, number: int, what: str) -> None:
        kind, _, more = what.partition(" ")
        self.said[kind] += 1
        if kind == "finding":
            self.findings.append((number, more))

    def line(self) -> str:
        counts = ", ".join(f"{self.said[k]:,} {k}" for k in ("read", "refused", "died"))
        return f"{self.said.total():,} files: {counts}, {len(self.findings)} findings"


def main() -> int:
    # Terminated like interrupted: the reader ends too, and the scratch folder goes.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=0, help="stop after so many (10000)")
    parser.add_argument("--seconds", type=float, default=0.0, help="or after so long")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other files")
    parser.add_argument("--only", type=int, help="one file by its number, kept whatever it gives")
    parser.add_argument("--kept", type=Path, default=KEPT, help="where findings are kept")
    asked = parser.parse_args()
    first = asked.only or 0
    files = asked.files or (UNLIMITED if asked.seconds else 10_000)
    stop = first + (1 if asked.only is not None else files)
    with tempfile.TemporaryDirectory(prefix="tinyml-fuzz-") as name:
        folder = Path(name)
        made = sorted(seeds.make(folder))
        tally = _fuzz(folder, asked.seed, first, stop, asked.seconds or UNLIMITED)
        print(tally.line())
        kept = dict(tally.findings[:SHOWN])
        if asked.only is not None:
            kept.setdefault(asked.only, "no finding")
        for number, what in kept.items():
            name, data = mutate.mutated(made, asked.seed, number)
            write_bytes(asked.kept / name, data)
            print(f"{asked.kept / name}: {what}")
            print(f"  again: python tools/fuzz --seed {asked.seed} --only {number}")
    return 5 if tally.findings else 0


def _fuzz(folder: Path, seed: int, first: int, stop: int, seconds: float) -> Tally:
    """Readers one after the other, a new one behind each file that killed one."""
    tally, ends = Tally(), time.monotonic() + seconds
    while first < stop and time.monotonic() < ends and len(tally.findings) < SHOWN:
        first = _one_reader(folder, seed, first, stop, ends, tally)
    return tally


def _one_reader(folder: Path, seed: int, first: int, stop: int, ends: float, tally: Tally) -> int:
    """The number of the first file that it did not read."""
    command = [sys.executable, str(READER), str(folder), str(seed), str(first), str(stop)]
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(tied(command), stdout=subprocess.PIPE, stderr=said, text=True) as reader,
        selectors.DefaultSelector() as waiting,
    ):
        assert reader.stdout is not None
        waiting.register(reader.stdout, selectors.EVENT_READ)
        try:
            if reader.stdout.readline() != "ready\n":
                raise SystemExit(f"the reader does not start: {_last(said)}")
            for number in range(first, stop):
                if time.monotonic() > ends:
                    return number
                line = reader.stdout.readline() if waiting.select(PATIENCE_S) else "late"
                if not line.startswith(f"{number} "):
                    tally.take(number, f"finding {_death(reader, line)}: {_last(said)}")
                    return number + 1
                tally.take(number, line.strip().partition(" ")[2])
                _progress(tally)
            return stop
        finally:
            reader.kill()


def _death(reader: subprocess.Popen[str], line: str) -> str:
    if line == "late":
        return f"no answer within {PATIENCE_S:g} s"
    return f"the reader ended {reader.wait()}"


def _last(said: object) -> str:
    said.seek(0)  # type: ignore[attr-defined]
    lines = said.read().decode(errors="replace").split("\n")  # type: ignore[attr-defined]
    return next((line.strip() for line in reversed(lines) if line.strip()), "no word")[:200]


def _progress(tally: Tally) -> None:
    if tally.said.total() % 500 == 0:
        print(tally.line(), file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
