"""A conversion may use so much memory and no more."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

Cli = Callable[..., "subprocess.CompletedProcess[str]"]


def test_an_export_above_its_memory_limit_names_the_limit(
    small_run: Path, cli: Cli, tmp_path: Path
) -> None:
    done = cli("export", small_run, "--target", "rpi", "--out", tmp_path / "out", "--memory", "64")
    assert done.returncode == 1, done.stderr
    assert "ran out of memory: it may use 64 MB" in done.stderr
    assert "--memory" in done.stderr
    assert list(tmp_path.iterdir()) == []
