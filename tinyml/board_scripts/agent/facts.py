"""Facts of a board, from its files and from Python; see `tinyml.core.board_facts`."""

from __future__ import annotations

import glob
import importlib.util
import os
import platform
import shutil
import struct
import sys
import time
from typing import Any

from tinyml.board_scripts.agent.clock import boot_id
from tinyml.board_scripts.agent.files import read_text

CLOCKS = "/sys/devices/system/cpu/cpu[0-9]*/cpufreq/cpuinfo_max_freq"
# Of what runs models: looked up in the packages' metadata, and not imported.
PACKAGES = ("ai-edge-litert", "tflite-runtime", "onnxruntime", "openvino", "numpy")


def facts() -> dict[str, Any]:
    """The facts of the board; ``None`` or an empty text: not known."""
    home = os.path.expanduser("~")
    return {
        "board": board_model(),
        "soc": soc(),
        **system(),
        "kernel": platform.release(),
        "libc": libc(),
        "bits": 8 * struct.calcsize("P"),
        "arch": platform.machine(),
        "python": platform.python_version(),
        "python_path": sys.executable or "",
        "has_venv": importlib.util.find_spec("venv") is not None,
        "page_kib": os.sysconf("SC_PAGE_SIZE") >> 10,
        "home": home,
        "home_writable": os.access(home, os.W_OK | os.X_OK),
        "disk_free_mb": shutil.disk_usage(home).free >> 20 if os.path.isdir(home) else 0,
        **memory_mb(),
        **processor(),
        "packages": packages(),
        "noexec": [path for path in (home, "/tmp") if is_noexec(path)],
        "boot_id": boot_id(),
        "clock_s": time.time(),
    }


def board_model() -> str:
    """As the firmware calls it: of an ARM board in its device tree, of a PC in its tables."""
    names = (
        read_text("/proc/device-tree/model"),
        cpu_fields().get("Model", ""),
        read_text("/sys/class/dmi/id/product_name"),
    )
    return next(filter(None, names), "")


def soc() -> str:
    """``bcm2711``: the last of what the device tree is compatible with."""
    entries = read_text("/proc/device-tree/compatible").split("\0")
    return entries[-1].rpartition(",")[2]


def system() -> dict[str, str]:
    """The operating system's name, and that of its release: ``bookworm``."""
    fields = {}
    for line in read_text("/etc/os-release").splitlines():
        name, _, value = line.partition("=")
        fields[name] = value.strip("\"' ")
    return {
        "system": fields.get("PRETTY_NAME") or platform.system(),
        "release": fields.get("VERSION_CODENAME", ""),
    }


def libc() -> str:
    """``glibc 2.36``; of musl the name alone."""
    try:
        found = os.confstr("CS_GNU_LIBC_VERSION")
    except (ValueError, OSError):
        found = None
    return found or ("musl" if glob.glob("/lib/ld-musl-*") else "")


def memory_mb() -> dict[str, Any]:
    """All of it, and what programs can still take."""
    found = {}
    for line in read_text("/proc/meminfo").splitlines():
        name, _, value = line.partition(":")
        if name in ("MemTotal", "MemAvailable"):
            found[name] = int(value.split()[0]) >> 10
    return {"memory_mb": found.get("MemTotal"), "memory_free_mb": found.get("MemAvailable")}


def processor() -> dict[str, Any]:
    """Cores that may be used, their highest clocks, and what kernels are chosen by.

    ``cpu_parts``: implementer and part of each kind of ARM core, as ``0x41 0xd08``.
    """
    parts, features, part = set(), set(), ["", ""]
    for name, value in cpu_lines():
        if name == "CPU implementer":
            part[0] = value
        elif name == "CPU part":
            parts.add(" ".join([part[0], value]))
        elif name in ("Features", "flags"):
            features |= set(value.split())
    cores = (
        os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    )
    clocks = [read_text(path) for path in glob.glob(CLOCKS)]
    return {
        "cores": len(cores),
        "max_khz": sorted((int(text) for text in clocks if text.isdigit()), reverse=True),
        "cpu_parts": sorted(parts),
        "cpu_features": sorted(features),
    }


def cpu_lines() -> list[tuple[str, str]]:
    lines = [line.partition(":") for line in read_text("/proc/cpuinfo").splitlines()]
    return [(name.strip(), value.strip()) for name, _, value in lines]


def cpu_fields() -> dict[str, str]:
    return dict(cpu_lines())


def packages() -> dict[str, str]:
    """Package -> installed version, of those that run models."""
    try:
        from importlib import metadata
    except ImportError:  # Python 3.7
        return {}
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def is_noexec(path: str) -> bool:
    """Whether programs and libraries in ``path`` cannot be run."""
    try:
        return bool(os.statvfs(path).f_flag & os.ST_NOEXEC)
    except OSError:
        return False
