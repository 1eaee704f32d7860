"""What works on this machine, what is missing for the rest, and what is broken."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import tinyml
from tinyml.core.errors import MachineError
from tinyml.core.versions import CORE, Requirement, requirements, version_of
from tinyml.pipeline.formats import all_formats, runtimes_of
from tinyml.pipeline.import_check import import_errors
from tinyml.pipeline.machine import ThisMachine, this_machine

State = Literal["ok", "missing", "broken", "not for this CPU"]
# What takes packages of an extra that no file format names.
TRAIN, QAT, REPORT, SCALE = "train", "qat", "report", "scale"


@dataclass(frozen=True, slots=True)
class Package:
    """A package of an extra, as it is installed here; ``problem``: of one that is broken."""

    extra: str
    package: str
    needs: str
    version: str | None
    state: State
    problem: str = ""

    @property
    def why_not(self) -> str:
        """In words; empty where it can be used."""
        if self.state == "ok":
            return ""
        if self.state == "broken":
            return f"{self.package} is broken: {self.problem}"
        why = "is not installed" if self.state == "missing" else "has no package for this CPU"
        return f"{self.package} {why}"


@dataclass(frozen=True, slots=True)
class Ability:
    """A command that works here, or not, ``because``."""

    what: str
    works: bool
    because: str = ""


@dataclass(frozen=True, slots=True)
class Broken:
    """Something that is needed and does not work, and what fixes it."""

    what: str
    fix: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All that `tinyml doctor` finds; ``hints``: what installs missing extras."""

    machine: ThisMachine
    works: tuple[Ability, ...]
    packages: tuple[Package, ...]
    broken: tuple[Broken, ...]
    hints: tuple[str, ...]

    def require_sound(self) -> None:
        """`MachineError` where something that is needed is broken."""
        if not self.broken:
            return
        first, *rest = self.broken
        error = MachineError(f"broken on this machine: {first.what}", hint=first.fix)
        error.details = [f"broken: {own.what}; fix: {own.fix}" for own in rest]
        raise error


def diagnose() -> Diagnosis:
    """Read versions, import each package in a child process, look at CPU, memory and disks."""
    needed = requirements()
    installed = {own.package for own in needed if version_of(own.package) is not None}
    errors = import_errors(sorted(installed))
    packages = tuple(_package(own, errors) for own in needed)
    machine = this_machine()
    return Diagnosis(
        machine,
        tuple(_abilities(packages)),
        packages,
        tuple(_broken(packages, machine)),
        tuple(_hints(packages)),
    )


def _package(needed: Requirement, errors: Mapping[str, str]) -> Package:
    version, problem = version_of(needed.package), errors.get(needed.package, "")
    if version is not None and not problem and not needed.allows(version):
        problem = f"version {version}, needed: {needed.versions}"
    state: State = "broken" if problem else "ok"
    if version is None:
        state = "missing" if needed.is_for_this_cpu else "not for this CPU"
    return Package(needed.extra, needed.package, needed.versions, version, state, problem)


def _abilities(packages: Sequence[Package]) -> Iterator[Ability]:
    def of_extra(extra: str) -> set[str]:
        return {own.package for own in packages if own.extra == extra}

    yield _ability("train, prune", of_extra(TRAIN), packages)
    yield _ability("train --qat", of_extra(QAT), packages)
    for known in all_formats():
        reference, *others = runtimes_of(known)
        written = {own for _, own in known.needs} | {reference.package}
        yield _ability(f"export {known.suffix}", written, packages)
        yield _ability(f"quantize {known.suffix}", of_extra(known.extra), packages)
        yield _ability(f"verify, bench {known.suffix}", {reference.package}, packages)
        for other in others:
            yield _ability(f"{known.suffix} in {other.name}", {other.package}, packages)
    yield _ability("report, plots", of_extra(REPORT), packages)
    yield _ability("scale", of_extra(SCALE), packages)


def _ability(what: str, needed: set[str], packages: Sequence[Package]) -> Ability:
    """``packages`` has a row for each extra: a package is in several."""
    why = dict.fromkeys(own.why_not for own in packages if own.package in needed and own.why_not)
    return Ability(what, not why, "; ".join(why))


def _broken(packages: Sequence[Package], machine: ThisMachine) -> Iterator[Broken]:
    """Of the packages of tinyml itself, a missing one too; each package once."""
    bad = {own.package: own for own in packages if own.state == "broken" or own.extra == CORE}
    for own in bad.values():
        if own.why_not:
            again = f"pip install --force-reinstall '{own.package}{own.needs}'"
            yield Broken(own.why_not, again)
    for disk in machine.disks:
        if not disk.writable:
            yield Broken(f"the {disk.use} {disk.folder} cannot be written to", "choose another")


def _hints(packages: Sequence[Package]) -> Iterator[str]:
    for extra in dict.fromkeys(own.extra for own in packages if own.state == "missing"):
        what = tinyml.DISTRIBUTION if extra == CORE else f"{tinyml.DISTRIBUTION}[{extra}]"
        yield f"{extra}: pip install '{what}'"
