"""Static programs for emulated boards and phones, which need no libc there: zig compiles them."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import shutil
import sys
from pathlib import Path

from emulated_board import parts
from emulated_board.host_tools import run
from tinyml.core.errors import MachineError, machine_errors
from tinyml.core.folders import lock

SOURCES = Path(__file__).parent
MUSL = {"aarch64": "aarch64-linux-musl", "x86_64": "x86_64-linux-musl"}


def program(name: str, arch: str) -> Path:
    """``NAME.c`` of this folder for ``arch``, compiled once.

    The host's own compiler makes those for the host; zig takes 40 s for its first program. Raises
    `MachineError` where the one that is needed is not installed.
    """
    source = SOURCES / f"{name}.c"
    made = parts.FOLDER / "programs" / f"{_key(source, arch)}-{name}"
    if made.exists():
        return made
    compiler = _compiler(arch)
    with machine_errors(f"making {made.parent}"):
        made.parent.mkdir(parents=True, exist_ok=True)
    with lock(made, waiting=lambda: None):
        if not made.exists():
            _compile(compiler, source, made)
    return made


def _compiler(arch: str) -> list[str]:
    if arch == platform.machine() and shutil.which("cc"):
        return ["cc"]
    if importlib.util.find_spec("ziglang") is None:
        raise MachineError(
            f"programs for {arch} are compiled by zig, which is not installed",
            hint="pip install ziglang",
        )
    return [sys.executable, "-m", "ziglang", "cc", "-target", MUSL[arch]]


def _compile(compiler: list[str], source: Path, made: Path) -> None:
    draft = made.with_name(f"{made.name}.draft")
    options = ["-O2", "-static", "-s", str(source), "-o", str(draft), "-lm"]
    run([*compiler, *options], f"compiling {source.name}")
    with machine_errors(f"making {made}"):
        os.replace(draft, made)


def _key(source: Path, arch: str) -> str:
    return hashlib.sha256(source.read_bytes() + arch.encode()).hexdigest()[:12]
