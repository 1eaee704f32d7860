"""Oracle 2: LiteRT's web build in node, by time."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from outcome import Outcome, outcome

from tinyml.core.errors import DeviceError, MachineError
from tinyml.core.files import cache_folder
from tinyml.core.folders import new_folder
from tinyml.core.process import tied

SCRIPT = Path(__file__).with_name("time_web.mjs")
# A step of two and more is not noise, where a vector kernel runs.
FASTER = 1.8


def installed(version: str) -> Path:
    """The folder of npm's modules that has ``version``."""
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            raise MachineError(f"the web build needs {tool}, not found here", hint="install nodejs")
    folder = cache_folder() / "web" / f"litertjs-{version}"
    if not folder.exists():
        with new_folder(folder) as draft:
            command = ["npm", "install", "--silent", "--legacy-peer-deps", "--prefix", str(draft)]
            _run([*command, f"@litertjs/core@{version}"], "fetching LiteRT's web build")
    return folder / "node_modules"


def measured(version: str, files: Mapping[str, tuple[Path, Path]]) -> dict[str, Outcome]:
    """Case -> what the web build does with its (sparse, dense) files."""
    pairs = json.dumps([[name, *map(str, pair)] for name, pair in files.items()])
    command = ["node", "--single-threaded", str(SCRIPT), str(installed(version))]
    lines = _run(command, "timing in node", pairs).splitlines()
    found = {}
    for row in (json.loads(line) for line in lines if line.startswith("{")):
        cost = (row.get("sparse_ms", 0.0), row.get("dense_ms", 0.0))
        found[row["name"]] = outcome(*cost, _relative(row), row["refused"], FASTER)
    return found


def _relative(row: Mapping[str, Any]) -> float:
    """The largest difference over the largest value; JSON has null for what is no number."""
    error, scale = row.get("error", 0.0), row.get("scale", 1.0)
    return float("inf") if error is None or not scale else float(error / scale)


def _run(command: list[str], doing: str, given: str = "") -> str:
    done = subprocess.run(tied(command), input=given, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise DeviceError(f"{doing}: {last[:200]}")
    return done.stdout
