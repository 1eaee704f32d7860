"""How every child process is started: its modules, its memory, and its parent's life to follow.

Run as a program, this file ties another program to whoever asked for it:

    python process.py PARENT_PID COMMAND ARGUMENTS...
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

PR_SET_PDEATHSIG = 1
ORPHANED = 70
# The folder that `tinyml` itself is imported from.
_HOME = Path(__file__).resolve().parents[2]


def physical_memory_mb() -> int:
    """What this machine has."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20


def machine_memory_mb() -> int:
    """What this machine has, or the control group that the process is in."""
    machine_mb, limit_mb = physical_memory_mb(), control_group_mb()
    return machine_mb if limit_mb is None else min(machine_mb, limit_mb)


def control_group_mb(
    root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")
) -> int | None:
    """The least memory limit of the control groups that the process is in; ``None``: no limit.

    ``root`` is where they are mounted, ``own`` names the innermost one.
    """
    lines = own.read_text(encoding="utf-8").splitlines() if own.is_file() else []
    inner = next((line.partition("::")[2] for line in lines if line.startswith("0::")), "/")
    folder = root / inner.strip("/")
    groups = [each for each in (folder, *folder.parents) if each.is_relative_to(root)]
    limits = [group / "memory.max" for group in groups]
    texts = [limit.read_text(encoding="utf-8").strip() for limit in limits if limit.is_file()]
    return min((int(text) >> 20 for text in texts if text.isdigit()), default=None)


def python_module(module: str, arguments: Sequence[str]) -> list[str]:
    """The command that runs ``module``; nothing is imported from the current folder."""
    return [sys.executable, "-P", "-m", module, *arguments]


def child_environment(more: Mapping[str, str]) -> dict[str, str]:
    """The environment of a Python child: the modules of this process, and ``more``.

    The folder of the program that runs and the current folder are left out, for the child and
    for all that it starts: a user's ``numpy.py`` there must not take the place of numpy.
    """
    own = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    places = [place for place in sys.path if place and not _is_users(place)]
    modules = dict.fromkeys([*places, *(os.path.abspath(place) for place in own if place)])
    path = os.pathsep.join(modules)
    return {**os.environ, "PYTHONPATH": path, "PYTHONSAFEPATH": "1", **more}


def _is_users(place: str) -> bool:
    """Whether Python itself put ``place`` on the path, for a script or for ``python -m``."""
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    folders = {os.path.realpath(os.path.dirname(script))} if script else set()
    with contextlib.suppress(FileNotFoundError):  # a current folder that was removed holds nothing
        folders.add(os.getcwd())
    found = os.path.realpath(place)
    return found != str(_HOME) and found in folders


def tied(command: Sequence[str]) -> list[str]:
    """``command``, of any program, which is then killed when this process dies.

    It starts through this file, since only a process itself can ask for that. The thread that
    starts it must live as long: Linux looks at the thread.
    """
    if sys.platform != "linux":
        return list(command)
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), *command]


def die_with(parent: int) -> None:
    """Be killed when the parent dies, however it dies."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit(ORPHANED)


def take_along() -> None:
    """Whatever this process starts, a user's code too, dies with it, however it dies.

    A fork waits for the death and then kills the group; what has left the group (a
    daemon, a session of its own) is out of its reach.
    """
    if sys.platform != "linux" or os.getpgrp() != os.getpid():
        return
    mine = os.getpid()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    if os.fork() == 0:
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() == mine:
            signal.sigwait({signal.SIGTERM})
        os.killpg(mine, signal.SIGKILL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


def main(arguments: Sequence[str]) -> None:
    """Become ``COMMAND``, which keeps the wish to be killed with ``PARENT_PID``."""
    parent, *command = arguments
    die_with(int(parent))
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
