"""Engines that may run a file next to its reference engine: do they compute the same?

They join where they are installed and the target has them, and never refuse a bundle: of a file
that one refuses or computes otherwise, that is a line.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from tinyml.core.bundle import ModelFile, Parity, StageParity
from tinyml.core.diagnosis import Finding
from tinyml.core.errors import InputError, ValidationError
from tinyml.core.events import Report
from tinyml.export import parity
from tinyml.pipeline.formats import by_runtime, named
from tinyml.pipeline.outputs.compare_engines import compare_engines
from tinyml.pipeline.outputs.engines import Engine, optional_engines
from tinyml.pipeline.outputs.reference import Reference

RULE = "optional_engine"


@dataclass(frozen=True, slots=True)
class OptionalResult:
    """What an optional engine makes of one file.

    rows       of its outputs, all within tolerance; none where there is a ``problem``
    problem    why this engine must not run this file, in a line
    precision  see `tinyml.runtimes.base.Session`
    """

    engine: str
    version: str
    file: str
    rows: tuple[StageParity, ...] = ()
    problem: str = ""
    precision: str = ""

    @property
    def line(self) -> str:
        """For a person."""
        if self.problem:
            return self.problem
        computed = f", computed in {self.precision}" if self.precision else ""
        return f"{self.file}: {self.engine} {self.version} gives the same outputs{computed}"


def compare_optional(
    found: Sequence[Engine], expected: Reference, order: Sequence[str], report: Report
) -> tuple[OptionalResult, ...]:
    """Every optional engine on every case; nothing that one does raises."""
    return tuple(_compare(engine, expected, order, report) for engine in found)


def _compare(
    engine: Engine, expected: Reference, order: Sequence[str], report: Report
) -> OptionalResult:
    who = (engine.name, str(engine.runtime.version()), engine.model.path)
    try:
        rows = compare_engines([engine], expected, order, report)
        parity.gate(Parity(rows), formats=by_runtime())
        return OptionalResult(*who, rows, precision=engine.open().precision)
    except InputError as error:
        return OptionalResult(*who, problem=error.message.replace(str(engine.path), who[2]))
    except ValidationError as error:
        return OptionalResult(*who, problem=f"{who[2]}: {error.message}")


def join_optional(
    folder: Path,
    models: tuple[ModelFile, ...],
    names: Collection[str],
    expected: Reference,
    order: Sequence[str],
    report: Report,
) -> tuple[tuple[StageParity, ...], dict[str, tuple[Finding, ...]]]:
    """For an export: the rows of the optional engines ``names``, and file -> what they refuse."""
    found = optional_engines(folder, models, names)
    results = compare_optional(found, expected, order, report)
    findings: dict[str, tuple[Finding, ...]] = {}
    for engine, own in zip(found, results, strict=True):
        if own.problem:
            fix = f"run it in {named(engine.model.format).runtime}"
            problem = own.problem.removeprefix(f"{own.file}: ")
            finding = Finding(RULE, own.engine, problem, fix)
            findings[own.file] = (*findings.get(own.file, ()), finding)
    return tuple(row for own in results for row in own.rows), findings
