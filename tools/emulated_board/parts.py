"""The parts of an emulated board that are made once and kept in ``build/boards``.

A release of Debian and a set of wheels are folders of their own: each is there whole or not at
all, and a run that was stopped makes only what is missing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from emulated_board.debian import PACKAGES, unpack_debian
from emulated_board.host_tools import TO_RUN, check, run
from emulated_board.software import Software
from tinyml.core.errors import machine_errors
from tinyml.core.folders import draft_of, lock
from tinyml.core.process import python_module

FOLDER = Path(__file__).parents[2] / "build" / "boards"
# pip does not widen a platform tag: each one that a wheel may carry is named.
PLATFORMS = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014")


def debian(software: Software) -> Path:
    """The root folder of its release.

    Raises `MachineError` naming what this machine lacks, `DeviceError` where a package cannot be
    had; `site_packages` does too.
    """
    return packages(software.suite, PACKAGES)


def packages(suite: str, names: tuple[str, ...]) -> Path:
    """The root folder of a release of Debian with the packages ``names``; raises as `debian`."""
    path = FOLDER / f"debian-{suite}-{_key(names)}"
    return _made(path, lambda draft: unpack_debian(draft, suite, names))


def site_packages(software: Software) -> Path:
    """The folder of its wheels for AArch64, and of what these depend on."""
    wanted = (f"python {software.python}", *software.wheels)
    return _made(
        FOLDER / f"wheels-{software.suite}-{_key(wanted)}", lambda draft: _install(draft, software)
    )


def _made(path: Path, make: Callable[[Path], None]) -> Path:
    """``path``, filled by ``make`` if it is not there; a process that makes it is waited for."""
    check(TO_RUN)
    if not path.exists():
        with machine_errors(f"making {path.parent}"):
            path.parent.mkdir(parents=True, exist_ok=True)
        with lock(path, waiting=lambda: None):
            if not path.exists():
                with draft_of(path) as draft:
                    make(draft)
    return path


def _install(site: Path, software: Software) -> None:
    platforms = [f"--platform={name}_aarch64" for name in PLATFORMS]
    command = python_module("pip", ["install", "-q", "--target", str(site), *platforms])
    command += [f"--python-version={software.python}", "--implementation=cp"]
    wanted = (*software.wheels, "numpy")
    run([*command, "--only-binary=:all:", *wanted], f"fetching {', '.join(wanted)}")


def _key(wanted: tuple[str, ...]) -> str:
    return hashlib.sha256("\n".join(wanted).encode()).hexdigest()[:12]
