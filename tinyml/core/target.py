"""A board, phone or PC that a bundle is made for: ``targets/*.toml``, or a file of the user's."""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tinyml.core.errors import InputError, UsageError
from tinyml.core.registry import FORMATS, LINKS, RUNTIMES, unknown_name
from tinyml.core.toml_text import read_toml
from tinyml.core.typed_json import from_json
from tinyml.core.versions import order

FOLDER = Path(__file__).parents[1] / "targets"
SUFFIX = ".toml"
# What ``tflite-runtime`` is to LiteRT: the older package that reads the same files.
OLDER_RUNTIMES = {"tflite-runtime": "litert"}
# The oldest that run.py of a bundle and the runner of `tinyml bench` support.
OLDEST_PYTHON = (3, 9)
THIS_ARCH = "host"
# The target that every machine can be.
HOST = "host"
X86 = ("x86_64", "x86", "i686", "AMD64")
PAGES_KIB = (4, 16, 64)
_VERSION = re.compile(r"\d+(\.\d+)+")


@dataclass(frozen=True, slots=True)
class System:
    """An operating system of a target, with the newest version of each runtime that it can get.

    ``runtimes``: by their registered names, and ``tflite-runtime``. ``python`` is its version;
    empty where there is none. ``numpy``: the newest of its wheels, too; empty: not known.
    """

    runtimes: Mapping[str, str]
    python: str = ""
    numpy: str = ""

    def __post_init__(self) -> None:
        known = (*RUNTIMES, *OLDER_RUNTIMES)
        for name, version in self.runtimes.items():
            if name not in known:
                raise unknown_name("runtime", name, known)
            _check_version(f"the version of {name}", version)
        if not self.runtimes:
            raise InputError("'runtimes' is empty", hint=f"known: {', '.join(known)}")
        if self.numpy:
            _check_version("'numpy'", self.numpy)
        if self.python:
            _check_version("'python'", self.python)
            if order(self.python) < OLDEST_PYTHON:
                oldest = ".".join(map(str, OLDEST_PYTHON))
                raise InputError(
                    f"'python' is {self.python}: a bundle's run.py needs {oldest} or newer"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is known of a target before it is reached, and what that decides.

    memory_mb      more activations than this are refused; 0: not known
    page_kib       size of a memory page, for which native code must be aligned
    cores, threads  0 cores: not known; threads that `tinyml bench` uses unless given others
    formats        formats that an export writes unless given others; empty: all that run there
    because        why those, if not all
    browser        whether it has one, which runs LiteRT for the web
    """

    name: str
    board: str
    arch: str
    cpu: str
    memory_mb: int
    systems: Mapping[str, System]
    aliases: tuple[str, ...] = ()
    cpu_features: tuple[str, ...] = ()
    cores: int = 0
    threads: int = 1
    page_kib: int = 4
    formats: tuple[str, ...] = ()
    because: str = ""
    browser: bool = False
    link: str = "ssh"

    def __post_init__(self) -> None:
        if not self.systems:
            raise InputError("'systems' is empty", hint="write [systems.NAME]")
        for format_ in self.formats:
            if format_ not in FORMATS:
                raise unknown_name("format", format_, FORMATS)
        if self.link not in LINKS:
            raise unknown_name("link", self.link, LINKS)
        if self.page_kib not in PAGES_KIB:
            allowed = ", ".join(map(str, PAGES_KIB))
            raise InputError(f"'page_kib' is {self.page_kib}: it takes one of {allowed}")
        for name, least in {"memory_mb": 0, "cores": 0, "threads": 1}.items():
            if getattr(self, name) < least:
                raise InputError(f"'{name}' is {getattr(self, name)}: it takes {least} or more")
        if 0 < self.cores < self.threads:
            raise InputError(f"'threads' is {self.threads}: there are {self.cores} cores")

    @property
    def is_host(self) -> bool:
        """Whether the target is the machine that the command runs on."""
        return self.link == "local"

    @property
    def is_x86(self) -> bool:
        """Whether its CPU is of that family, which has no fast kernels for signed activations."""
        return (platform.machine() if self.arch == THIS_ARCH else self.arch) in X86

    @property
    def runtimes(self) -> Mapping[str, str]:
        """Runtime -> the newest version that any of the systems can get."""
        newest: dict[str, str] = {}
        for system in self.systems.values():
            for name, version in system.runtimes.items():
                newest[name] = max(newest.get(name, "0"), version, key=order)
        return newest


@cache
def all_targets() -> dict[str, Target]:
    """Every shipped target by name."""
    return {path.stem: _read(path) for path in sorted(FOLDER.glob(f"*{SUFFIX}"))}


def find_target(name: str) -> Target:
    """The target called ``name``, or having it as an alias, or that of the file ``name``.

    Raises `UsageError` if there is none, `InputError` for a file that does not describe one.
    """
    for target in all_targets().values():
        if name == target.name or name in target.aliases:
            return target
    if name.endswith(SUFFIX):
        return read_target(Path(name))
    raise unknown_name("target", name, _names())


def read_target(path: Path) -> Target:
    """A user's own target; its name is that of the file.

    Raises `UsageError` if there is no such file, `InputError` for one that is not a target.
    """
    if not path.is_file():
        raise UsageError(f"no such file: {path}", hint="tinyml targets lists the shipped targets")
    target = _read(path)
    for name in (target.name, *target.aliases):
        if name in _names():
            raise InputError(
                f"{path}: '{name}' is a shipped target", hint="give the file another name"
            )
    return target


def _names() -> list[str]:
    return [name for target in all_targets().values() for name in (target.name, *target.aliases)]


def _read(path: Path) -> Target:
    data = read_toml(path, hint="a target is a TOML file")
    if "name" in data:
        raise InputError(f"{path}: no key is called 'name'", hint="the name is that of the file")
    return from_json(Target, {**data, "name": path.stem}, what=f"{path}", strict=True)


def _check_version(what: str, version: str) -> None:
    if not _VERSION.fullmatch(version):
        raise InputError(f"{what} is '{version}': write numbers, as 2.3.0")
