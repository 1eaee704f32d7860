"""A board that is switched on: processes of its own, which see its files, its CPU and each other.

It is a process in private user, mount and process namespaces, in which the kernel starts AArch64
programs under qemu. Commands join it, so that one may end another, and all end when the board is
switched off. Nothing of it needs root, where the kernel is 6.7 or newer: see `why_not`.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from emulated_board.host_tools import check
from tinyml.core.errors import MachineError, machine_errors
from tinyml.core.process import tied

NEEDS = {
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "setsid": "util-linux",
    "qemu-aarch64-static": "qemu-user-static",
}
OLDEST_KERNEL = (6, 7)
PATH = "/opt/bin:/usr/local/bin:/usr/bin:/bin"
# ELF's magic number, 64 bits, little endian, a program or a shared object, for AArch64.
_MAGIC = r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
_MASK = r"\xff\xff\xff\xff\xff\xff\xff\x00" + r"\xff" * 8 + r"\xfe\xff\xff\xff"
_START = r"""
set -e
read host_pid rest < /proc/self/stat
mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
printf '%s' ":board:M::$MAGIC:$MASK:$QEMU:F" > /proc/sys/fs/binfmt_misc/register
for pair in $BINDS; do mount --rbind "$ROOT/from/${pair%%:*}" "$ROOT/${pair##*:}"; done
mount -t proc proc "$ROOT/proc"
for name in cpuinfo loadavg; do mount --bind "$ROOT/etc/$name" "$ROOT/proc/$name"; done
mount --rbind /dev "$ROOT/dev"
echo "$host_pid"
exec sleep infinity
"""
_BINDS = ("usr:usr", "site:opt/site", "sys:sys")


@dataclass(frozen=True, slots=True)
class SwitchedOn:
    """A running board: ``root`` is its root here; ``runner`` starts a line of shell there."""

    root: Path
    process: subprocess.Popen[str]
    runner: tuple[str, ...]

    @property
    def home(self) -> Path:
        """The folder here that is the home of its user."""
        return self.root / "root"

    def run(self, line: str, *, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
        """What ``line`` leaves there."""
        with machine_errors("running a command on the emulated board"):
            return subprocess.run(
                tied([*self.runner, line]),
                capture_output=True,
                text=True,
                timeout=timeout_s,
                check=False,
            )


def why_not() -> str:
    """Why this machine cannot switch a board on; empty where it can."""
    try:
        check(NEEDS)
    except MachineError as error:
        return f"{error.message}; {error.hint}"
    release = os.uname().release
    found = re.match(r"(\d+)\.(\d+)", release)
    if found and (int(found[1]), int(found[2])) < OLDEST_KERNEL:
        return f"Linux {release}: private binary formats need 6.7 or newer"
    probe = ["unshare", "-U", "-r", "-m", "-p", "--fork", "true"]
    made = subprocess.run(tied(probe), capture_output=True, check=False)
    return "" if made.returncode == 0 else "unshare: this machine allows no user namespaces"


@contextmanager
def switched_on(
    root: Path, files: Path, cpu: str, cpu_info: str, *, site: Path | None = None, path: str = PATH
) -> Iterator[SwitchedOn]:
    """A board with ``cpu`` until the block ends; ``root`` is the folder that becomes its root.

    ``root`` may hold files of its own; those in ``board-sys`` are the board's ``/sys``. ``files``:
    the packages, of which ``usr`` is shared; ``site``: Python packages, if any are installed.
    Raises `MachineError` where it does not start.
    """
    _lay_out(root, files, cpu_info, site)
    script = {
        "MAGIC": _MAGIC,
        "MASK": _MASK,
        "QEMU": "/usr/bin/qemu-aarch64-static",
        "ROOT": str(root),
        "BINDS": " ".join(_BINDS),
    }
    command = ["unshare", "-U", "-r", "-m", "-p", "--kill-child", "--fork", "sh", "-c", _START]
    process = subprocess.Popen(
        tied(command),
        env={**os.environ, **script},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        pid = process.stdout.readline().strip()
        if not pid:
            _, said = process.communicate()
            raise MachineError(f"the emulated board does not start: {said.strip()}")
        yield SwitchedOn(root, process, _runner(root, pid, cpu, path, site is not None))
    finally:
        process.kill()
        process.communicate()


def _lay_out(root: Path, files: Path, cpu_info: str, site: Path | None) -> None:
    with machine_errors("making the board's root"):
        for name in ("root", "tmp", "proc", "sys", "dev", "etc", "opt/bin", "opt/site", "usr"):
            (root / name).mkdir(parents=True, exist_ok=True)
        (root / "from").mkdir()
        (root / "from" / "usr").symlink_to(files / "usr")
        (root / "empty").mkdir()
        (root / "from" / "site").symlink_to(site or root / "empty")
        (root / "from" / "sys").symlink_to(root / "board-sys")
        (root / "board-sys").mkdir(exist_ok=True)
        for name in ("bin", "sbin", "lib"):
            (root / name).symlink_to(f"usr/{name}")
        (root / "etc" / "cpuinfo").write_text(cpu_info, encoding="ascii")
        # That of the host would be in the way of a board that is quiet.
        (root / "etc" / "loadavg").write_text("0.05 0.03 0.01 1/80 99\n", encoding="ascii")
        (root / "etc" / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\n", encoding="ascii")


def _runner(root: Path, pid: str, cpu: str, path: str, has_site: bool) -> tuple[str, ...]:
    variables = {
        "QEMU_CPU": cpu,
        "HOME": "/root",
        "USER": "root",
        "PATH": path,
        "LANG": "C.UTF-8",
        "ORT_DISABLE_TELEMETRY": "1",
        **({"PYTHONPATH": "/opt/site"} if has_site else {}),
    }
    clean = ["env", "-i", *(f"{name}={value}" for name, value in variables.items())]
    join = ["nsenter", "-t", pid, "-U", "--preserve-credentials", "-m", "-p"]
    # As under a real ssh server, the shell leads a session, and so a group, of its own.
    there = ("setsid", "/usr/sbin/chroot", str(root), "/bin/sh", "-c", 'cd; exec /bin/sh -c "$0"')
    return (*join, *clean, *there)
