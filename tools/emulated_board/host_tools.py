"""The host's programs that an emulated board needs, and how they are run."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from typing import IO

from tinyml.core.errors import DeviceError, MachineError, machine_errors
from tinyml.core.process import tied

# Program -> its Debian package. qemu-user-static would not do: it takes no plugins.
TO_RUN = {"qemu-aarch64": "qemu-user", "apt-get": "apt", "dpkg-deb": "dpkg", "tar": "tar"}
TO_COUNT = {"cc": "gcc"}


def check(needs: Mapping[str, str]) -> None:
    """Raise `MachineError` for the programs of ``needs`` that this machine lacks."""
    missing = [name for name in needs if shutil.which(name) is None]
    if missing:
        packages = " ".join(needs[name] for name in missing)
        raise MachineError(
            f"an emulated board needs {', '.join(missing)}, not found here",
            hint=f"apt-get install {packages}",
        )


def run(command: Sequence[str], doing: str, stdout: int | IO[bytes] = subprocess.PIPE) -> str:
    """Run ``command``; return what it prints, unless that goes to a file.

    Raises `DeviceError` with its last line where it fails.
    """
    with machine_errors(doing):
        done = subprocess.run(
            tied(command),
            stdout=stdout,
            stderr=subprocess.PIPE,
            env={**os.environ, "LC_ALL": "C"},
            check=False,
        )
    if done.returncode:
        last = (done.stderr.decode(errors="replace").strip().splitlines() or ["no message"])[-1]
        raise DeviceError(f"{doing}: {last[:200]}", hint="is the network reachable?")
    return (done.stdout or b"").decode(errors="replace")
