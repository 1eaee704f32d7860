"""Does a bundle compute on another machine what PyTorch computed? Its outputs are compared here."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from tinyml.core.bundle import Bundle, Parity, StageParity
from tinyml.core.errors import DeviceError, TinymlError, ValidationError
from tinyml.core.events import Report
from tinyml.device.link import Link
from tinyml.device.runner_command import push_runner
from tinyml.device.runner_output import RuntimeMissingError
from tinyml.export import parity
from tinyml.pipeline.outputs.compare_engines import compare_engines
from tinyml.pipeline.outputs.engines import Engine, given_engines
from tinyml.pipeline.outputs.engines_on_link import on_link
from tinyml.pipeline.outputs.reference import Reference


@dataclass(frozen=True, slots=True)
class FileOnLink:
    """A model file on a machine: a row for each output and case, or the ``failure``.

    ``version`` is the runtime's; empty where it computed nothing.
    """

    path: str
    precision: str
    runtime: str
    version: str
    rows: tuple[StageParity, ...] = ()
    failure: DeviceError | None = None

    @property
    def passes(self) -> bool:
        """Whether it ran there, and no row fails."""
        return self.failure is None and all(row.verdict != "fail" for row in self.rows)

    @property
    def not_installed(self) -> bool:
        """Whether its runtime is not there."""
        return isinstance(self.failure, RuntimeMissingError)


def verify_on_link(
    link: Link,
    bundle: Bundle,
    expected: Reference,
    report: Report,
    models: Collection[str] | None = None,
) -> list[FileOnLink]:
    """Every model file of ``bundle`` in its reference engine on ``link``.

    Of those with the paths ``models``, where they are given. Every case of the reference is
    computed there and judged here, by the tolerance of the file's precision. A file that fails
    there leaves the others. Raises `ValidationError` where a file is another one there than here.
    """
    runner, found = push_runner(link), []
    for engine in given_engines(bundle.folder, bundle.models):
        if not engine.optional and (models is None or engine.model.path in models):
            with on_link(engine, link, runner, bundle.signature) as there:
                rows, failure = _rows(there, bundle, expected, report)
            own, version = engine.model, there.runtime.version() or ""
            found.append(FileOnLink(own.path, own.precision, engine.name, version, rows, failure))
    return found


def _rows(
    engine: Engine, bundle: Bundle, expected: Reference, report: Report
) -> tuple[tuple[StageParity, ...], DeviceError | None]:
    """Those of ``engine``, or its failure."""
    try:
        return compare_engines([engine], expected, bundle.stages, report), None
    except DeviceError as error:
        return (), error


def error_of(file: FileOnLink, device: str) -> TinymlError | None:
    """What is wrong with ``file`` on ``device``, if anything is."""
    if file.failure is not None or file.passes:
        return file.failure
    try:
        parity.gate(Parity(stages=file.rows))
    except ValidationError as error:
        return ValidationError(f"{file.path} on {device}: {error.message}", hint=error.hint)
    raise AssertionError("unreachable: a row fails")
