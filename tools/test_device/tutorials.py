"""The commands of a tutorial page, run as they stand there."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from test_device.workplace import ROOT, SHOWN, TIMEOUT_S, StageFailedError, Workplace
from tinyml.core.process import tied

_BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)


def commands(page: str) -> list[str]:
    """Every command in the ``sh`` blocks of a page of the docs, in order."""
    text = (ROOT / "docs" / page).read_text("utf-8")
    lines = "".join(_BLOCK.findall(text)).replace("\\\n", " ").splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]


def run_page(place: Workplace, page: str, folder: Path, instead: Mapping[str, str]) -> str:
    """Run each command of ``page`` in ``folder``; ``instead``: names there -> names here."""
    program = place.folder / "bin" / "tinyml"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m tinyml.cli.main "$@"\n')
    program.chmod(0o755)
    found = commands(page)
    for line in found:
        given = line
        for name, here in instead.items():
            given = given.replace(name, here)
        done = subprocess.run(
            tied(["sh", "-c", given]),
            cwd=folder,
            env=place.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        if done.returncode:
            last = "\n      ".join(f"{done.stdout}{done.stderr}".strip().splitlines()[-SHOWN:])
            raise StageFailedError(f"{page}: {line}: exit {done.returncode}\n      {last}")
    return f"{len(found)} commands of docs/{page}"
