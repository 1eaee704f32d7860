"""The runner as one file that any Python 3.9 runs."""

from __future__ import annotations

from pathlib import Path

from tinyml.core.program_archive import write_program
from tinyml.runtimes import runner

NAME = "runner.zip"
FOLDER = Path(runner.__file__).parent


def write_archive(path: Path) -> None:
    """Write the runner to ``path``: ``python PATH MODEL --runtime ...`` starts it."""
    write_program(path, runner)
