"""Versions of packages: what is installed, what an extra of tinyml asks for, and their order."""

from __future__ import annotations

import operator
import platform
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tinyml

# Extras that are others together, or for those who work on tinyml itself.
NOT_SHOWN = ("all", "dev")
CORE = "core"
_PROJECT = Path(__file__).parents[2] / "pyproject.toml"
_REQUIREMENT = re.compile(r"([\w.-]+)\s*(?:\[.*\])?\s*\(?([^;)]*)\)?\s*(?:;(.*))?")
_MARKER = re.compile(r"""(\w+)\s*==\s*['"]([^'"]+)['"]""")
_BOUND = re.compile(r"(>=|<=|==|!=|<|>)\s*([\w.]+)")
_COMPARES: Mapping[str, Callable[[tuple[int, ...], tuple[int, ...]], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}


@dataclass(frozen=True, slots=True)
class Requirement:
    """A package that ``extra`` asks for, in versions such as ``>=2.13,<2.14``.

    ``machine``: the only processor that there is a package for; empty: any.
    """

    extra: str
    package: str
    versions: str = ""
    machine: str = ""

    @property
    def is_for_this_cpu(self) -> bool:
        return self.machine in ("", platform.machine())

    def allows(self, version: str) -> bool:
        """Whether ``version`` is one that tinyml is made for."""
        found = order(version)
        return all(_COMPARES[how](found, order(own)) for how, own in _BOUND.findall(self.versions))


def version_of(package: str) -> str | None:
    """The installed version, or ``None``."""
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def order(version: str) -> tuple[int, ...]:
    """The numbers of ``version``, which sort as versions do; without what names a build."""
    return tuple(int(part) for part in re.findall(r"\d+", version.partition("+")[0]))


def requirements() -> tuple[Requirement, ...]:
    """What tinyml itself (`CORE`) and each of its extras ask for, by the package's metadata.

    In a checkout that is not installed, by its ``pyproject.toml``.
    """
    from importlib import metadata

    try:
        lines = metadata.requires(tinyml.DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        lines = list(_of_project(tomllib.loads(_PROJECT.read_text(encoding="utf-8"))["project"]))
    found = [_parsed(line) for line in lines]
    return tuple(own for own in found if own.extra not in NOT_SHOWN)


def _of_project(project: Mapping[str, Any]) -> Iterable[str]:
    """Requirements in the form of metadata: each names its extra."""
    yield from project["dependencies"]
    for extra, needs in project["optional-dependencies"].items():
        for line in needs:
            package, _, marker = line.partition(";")
            yield f"{package}; {marker + ' and ' if marker else ''}extra == '{extra}'"


def _parsed(line: str) -> Requirement:
    match = _REQUIREMENT.match(line)
    assert match is not None, line
    package, versions, marker = match.groups()
    known = dict(_MARKER.findall(marker or ""))
    extra, machine = known.pop("extra", CORE), known.pop("platform_machine", "")
    assert not known, line  # a marker that has to be understood here
    return Requirement(extra, package, versions.strip(), machine)
