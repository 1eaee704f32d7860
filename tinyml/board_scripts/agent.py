"""Runs on a board: shows what it is, and does there what tinyml asks for. One JSON line on stdout.

    python agent.py facts
    python agent.py hash FILE...
    python agent.py lock [OLD NEW]
    python agent.py hold GOVERNOR

Standard library only. It needs Python 3.9; an older one runs ``facts`` and refuses the rest. A
subcommand is a function of its arguments that returns what is printed. On failure the line is
``{"error": ..., "hint": ...}``, and the exit code is 1.
"""

from __future__ import annotations

import errno
import fcntl
import glob
import hashlib
import importlib.util
import json
import os
import platform
import shutil
import signal
import stat
import struct
import sys
import time
from typing import Any

OLDEST = (3, 9)
# Of what runs models: looked up in the packages' metadata, and not imported.
PACKAGES = ("ai-edge-litert", "tflite-runtime", "onnxruntime", "openvino", "numpy")
# A file that all users of the board can write; TINYML_LOCK names another.
LOCK = "/tmp/tinyml.lock"
LOCK_WAIT_S = 10.0
# Where the governors of the cores are; TINYML_CPUS names another place.
CPUS = "/sys/devices/system/cpu"
PIECE = 1 << 16


class AgentError(Exception):
    """What a user can fix, with what fixes it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def read_text(path: str) -> str:
    """The file's text, or an empty one: what cannot be read is unknown."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read().strip("\0\n ")
    except OSError:
        return ""


def facts() -> dict[str, Any]:
    """What the board is and has; ``None`` or an empty text: not known."""
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
    """Cores that may be used, and of /proc/cpuinfo what kernels are chosen by.

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
    return {"cores": len(cores), "cpu_parts": sorted(parts), "cpu_features": sorted(features)}


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


def boot_id() -> str:
    """Another one after each start of the board."""
    return read_text("/proc/sys/kernel/random/boot_id")


def hash_files(*paths: str) -> dict[str, Any]:
    """The sha256 of each file, in the order given."""
    return {"sha256": [sha256(path) for path in paths]}


def sha256(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        for piece in iter(lambda: stream.read(PIECE), b""):
            digest.update(piece)
    return digest.hexdigest()


def lock(*change: str) -> dict[str, Any]:
    """What the lock's file holds; with OLD and NEW, it then holds NEW where it held OLD.

    ``took`` is whether it did. An empty text is a free board. The host decides what the texts
    mean, and who may replace which.
    """
    held = open_lock(os.environ.get("TINYML_LOCK") or LOCK)
    try:
        wait_for(held)
        text = os.read(held, PIECE).decode("utf-8", "replace")
        took = len(change) == 2 and change[0] == text
        if took:
            data = change[1].encode()
            os.pwrite(held, data, 0)
            os.ftruncate(held, len(data))
            text = change[1]
    finally:
        os.close(held)
    return {"text": text, "took": took, "boot_id": boot_id(), "uptime_s": uptime_s()}


def uptime_s() -> float:
    """Seconds since the board started: no change of its clock moves it."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


def open_lock(path: str) -> int:
    """The lock's file, open; made if it is not there, so that every user may write it.

    It is opened without O_CREAT first: in a folder that all may write, Linux refuses that for the
    file of another user.
    """
    for flags in (os.O_RDWR, os.O_RDWR | os.O_CREAT | os.O_EXCL, os.O_RDWR):
        try:
            held = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        except FileNotFoundError:
            continue
        except FileExistsError:
            continue
        except OSError as error:
            raise AgentError(
                f"{path}: {error.strerror}", f"on the board: sudo rm {path}"
            ) from error
        if not stat.S_ISREG(os.fstat(held).st_mode):
            os.close(held)
            raise AgentError(f"{path} is not a file", f"on the board: sudo rm -r {path}")
        if flags & os.O_CREAT:
            os.fchmod(held, 0o666)
        return held
    raise AgentError(f"{path} comes and goes", "try again")


def wait_for(held: int) -> None:
    """Hold the open file: others do for an instant."""
    ends = time.monotonic() + LOCK_WAIT_S
    while True:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES) or time.monotonic() > ends:
                raise AgentError(f"the lock's file is in use: {error.strerror}") from error
        time.sleep(0.05)


def hold(governor: str) -> dict[str, Any]:
    """Give every core the governor, where this user may, until stdin ends; then set them back.

    A process of its own does it, which outlives this one: also where the link is lost, and what
    it started is killed, the governors are set back.
    """
    child = os.fork()
    if child == 0:
        os.setsid()
        for name in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            signal.signal(name, signal.SIG_IGN)
        try:
            hold_until_end(governor)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    return {}


def hold_until_end(governor: str) -> None:
    """Prints the governors that were found, and on how many cores another one was set."""
    folder = os.environ.get("TINYML_CPUS") or CPUS
    found = {
        path: read_text(path)
        for path in sorted(glob.glob(folder + "/cpu[0-9]*/cpufreq/scaling_governor"))
    }
    held = {}
    try:
        for path, before in found.items():
            if before != governor and write_text(path, governor):
                held[path] = before
        print(json.dumps({"governors": sorted(set(found.values())), "held": len(held)}), flush=True)
        sys.stdin.buffer.read()
    finally:
        for path, before in held.items():
            if read_text(path) == governor:
                write_text(path, before)


def write_text(path: str, text: str) -> bool:
    """Whether this user may write it, and the kernel takes it."""
    try:
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(text)
    except OSError:
        return False
    return True


COMMANDS = {"facts": facts, "hash": hash_files, "lock": lock, "hold": hold}


def check_python(name: str) -> None:
    if name != "facts" and sys.version_info[:2] < OLDEST:
        raise AgentError(
            f"{sys.executable} is Python {platform.python_version()}: tinyml needs 3.9 or newer",
            "give another Python of the board: tinyml device add NAME ADDRESS --python PATH",
        )


def main(arguments: list[str]) -> int:
    name, rest = arguments[0], arguments[1:]
    try:
        check_python(name)
        answer, code = COMMANDS[name](*rest), 0
    except AgentError as error:
        answer, code = {"error": str(error), "hint": error.hint}, 1
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        answer, code = {"error": f"{name}: {error.strerror}{where}", "hint": ""}, 1
    print(json.dumps({**answer, "agent_sha256": sha256(__file__)}))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
