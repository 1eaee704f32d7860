"""A user's machine for one run: a home, an ssh configuration, and the command `tinyml`."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tinyml.core.process import tied

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 400.0
# Lines of a command that failed which are shown.
SHOWN = 12


class StageFailedError(Exception):
    """A command of a stage did not do what it should; the text is for the summary."""


@dataclass(frozen=True, slots=True)
class Workplace:
    """``folder`` is the home; ``environment`` of every command.

    commands  the commands that ran, for the page that shows them
    """

    folder: Path
    environment: dict[str, str]
    commands: list[str] = field(default_factory=list)

    def tinyml(self, *words: str | Path, code: int = 0, stdin: bytes = b"") -> str:
        """What ``tinyml WORDS`` prints on both streams; `StageFailedError` for another exit."""
        done = self._run(words, stdin)
        text = "\n".join(part for part in (done.stdout, done.stderr) if part)
        if done.returncode != code:
            last = "\n      ".join(text.strip().splitlines()[-SHOWN:])
            shown = shlex.join(["tinyml", *map(str, words)])
            raise StageFailedError(f"{shown}: exit {done.returncode}, not {code}\n      {last}")
        return text

    def json(self, *words: str | Path, code: int = 0) -> Any:
        """The JSON that ``tinyml WORDS --json`` prints."""
        done = self._run([*words, "--json"], b"")
        if done.returncode != code:
            return self.tinyml(*words, "--json", code=code)
        return json.loads(done.stdout)

    def _run(self, words: Sequence[str | Path], stdin: bytes) -> subprocess.CompletedProcess[str]:
        self.commands.append(shlex.join(["tinyml", *map(str, words)]))
        command = [sys.executable, "-m", "tinyml.cli.main", *map(str, words)]
        done = subprocess.run(
            tied(command),
            cwd=self.folder,
            env=self.environment,
            input=stdin,
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        out, err = (own.decode(errors="replace") for own in (done.stdout, done.stderr))
        return subprocess.CompletedProcess(command, done.returncode, out, err)


def workplace(folder: Path) -> Workplace:
    """A home in ``folder``; programs of ``folder/bin`` come first."""
    (folder / "bin").mkdir(parents=True)
    variables = {
        "HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder / "config"),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "ORT_DISABLE_TELEMETRY": "1",
        "COLUMNS": "100",
    }
    kept = {name: os.environ[name] for name in ("TMPDIR", "LANG") if name in os.environ}
    return Workplace(folder, {**kept, **variables})


def seconds_since(start: float) -> float:
    """On a clock that only counts."""
    return time.monotonic() - start
