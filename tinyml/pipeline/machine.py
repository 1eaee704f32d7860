"""This machine: what decides which commands run here, and how fast."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import tinyml
from tinyml.core.cpu_features import Kernels, cpu_features, kernels
from tinyml.core.process import control_group_mb, physical_memory_mb
from tinyml.runtimes.runner.machine import allowed, cpu_model, governor


@dataclass(frozen=True, slots=True)
class Disk:
    """A folder that commands write to; ``free_mb`` is what its file system has left."""

    use: str
    folder: str
    free_mb: int
    writable: bool


@dataclass(frozen=True, slots=True)
class ThisMachine:
    """What is known of it; ``None``: not known, or no limit.

    cores         that this process may use
    memory_limit_mb  of the control group that it runs in
    data          the folder that ``TINYML_DATA`` names
    """

    tinyml: str
    python: str
    system: str
    cpu: str
    cpu_features: tuple[str, ...]
    kernels: tuple[Kernels, ...]
    cores: int
    governor: str | None
    memory_mb: int
    memory_limit_mb: int | None
    disks: tuple[Disk, ...]
    data: str | None


def this_machine() -> ThisMachine:
    features = cpu_features()
    temporary = os.environ.get("TMPDIR") or tempfile.gettempdir()  # others are taken in its place
    return ThisMachine(
        tinyml=tinyml.__version__,
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
        cpu=cpu_model() or "unknown",
        cpu_features=features,
        kernels=kernels(features),
        cores=len(allowed()),
        governor=governor(),
        memory_mb=physical_memory_mb(),
        memory_limit_mb=control_group_mb(),
        disks=(_disk("working folder", Path()), _disk("TMPDIR", Path(temporary))),
        data=os.environ.get("TINYML_DATA"),
    )


def _disk(use: str, folder: Path) -> Disk:
    """Of a folder that is not there: nothing is free, and it cannot be written to."""
    if not folder.is_dir():
        return Disk(use, f"{folder}", 0, False)
    free_mb = shutil.disk_usage(folder).free >> 20
    return Disk(use, f"{folder.absolute()}", free_mb, os.access(folder, os.W_OK))
