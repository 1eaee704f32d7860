"""What this machine offers: interpreter, CPU, memory, and the optional packages."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path
from typing import Any

import tinyml
from tinyml.core.versions import version_of
from tinyml.pipeline.formats import all_formats

PACKAGES = {
    "core": ("numpy", "rich", "safetensors", "scipy", "soundfile", "typer"),
    "images": ("pillow",),
    "train": ("pillow", "torch"),
    **{known.extra: known.packages for known in all_formats()},
    "report": ("matplotlib",),
    "scale": ("matplotlib", "scikit-learn"),
}


def examine() -> dict[str, Any]:
    """JSON values: ``machine``, ``packages`` (version or null), ``hints``."""
    packages = [
        {"extra": extra, "package": name, "version": version_of(name)}
        for extra, names in PACKAGES.items()
        for name in names
    ]
    lacking = {str(p["extra"]) for p in packages if p["version"] is None}
    hints = [
        f"{extra}: pip install '{tinyml.DISTRIBUTION}[{extra}]'"
        for extra in PACKAGES
        if extra in lacking
    ]
    return {"machine": machine(), "packages": packages, "hints": hints}


def machine() -> dict[str, str]:
    """Facts that decide what runs here and how fast."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "tinyml": tinyml.__version__,
        "python": sys.version.split()[0],
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu_model(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{memory // 2**20} MB",
        "data": os.environ.get("TINYML_DATA", "TINYML_DATA is not set: synthetic data only"),
    }


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8", errors="replace") if info.exists() else ""
    for line in lines.splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("model name", "Model"):
            return value.strip()
    return platform.processor() or "unknown"
