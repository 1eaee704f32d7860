"""Wheels for a board's Python, downloaded by this machine's pip and kept in the user's cache."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tinyml.core.board_facts import BoardFacts
from tinyml.core.errors import MachineError, machine_errors
from tinyml.core.events import Message, Report
from tinyml.core.files import cache_folder
from tinyml.core.folders import draft_of, lock
from tinyml.core.process import python_module, tied
from tinyml.core.versions import order

# The oldest glibc that wheels name, as 2.17; its tag has an older name too.
OLDEST_GLIBC = 17
HINT = "is the network reachable, and does this work on this machine: python -m pip --version"


def wheel_key(facts: BoardFacts, wanted: Sequence[str]) -> str:
    """Another one for each kind of board and each list of packages."""
    text = "\n".join([*python_tags(facts), *wanted])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def download_wheels(facts: BoardFacts, wanted: Sequence[str], report: Report) -> list[Path]:
    """The wheels of ``wanted``, as ``numpy==2.4.6``, and of what they need, for the board.

    What was downloaded before is taken. Raises `MachineError` where pip cannot get them.
    """
    path = cache_folder() / "wheels" / wheel_key(facts, wanted)
    with machine_errors(f"making {path.parent}"):
        path.parent.mkdir(parents=True, exist_ok=True)
    with lock(path, waiting=lambda: report(Message("another command downloads these wheels"))):
        if not path.is_dir():
            report(Message(f"downloading {', '.join(wanted)} for Python {facts.python}"))
            with draft_of(path) as draft:
                _download(draft, facts, wanted)
    return sorted(path.glob("*.whl"))


def python_tags(facts: BoardFacts) -> list[str]:
    """pip's options for the board: it does not widen a platform, so each one is named."""
    newest = order(facts.libc)[1]
    tags = [f"manylinux_2_{minor}" for minor in range(newest, OLDEST_GLIBC - 1, -1)]
    platforms = [f"--platform={tag}_{facts.arch}" for tag in (*tags, "manylinux2014")]
    python = ".".join(facts.python.split(".")[:2])
    return [*platforms, f"--python-version={python}", "--implementation=cp"]


def _download(folder: Path, facts: BoardFacts, wanted: Sequence[str]) -> None:
    options = ["-q", "--disable-pip-version-check", "--only-binary=:all:", "-d", str(folder)]
    command = python_module("pip", ["download", *options, *python_tags(facts), *wanted])
    with machine_errors("starting pip"):
        done = subprocess.run(tied(command), capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no message"]
        failed = next((line for line in lines if line.startswith("ERROR")), lines[-1])
        raise MachineError(f"pip cannot download {', '.join(wanted)}: {failed}", hint=HINT)
