"""Does a bundle compute on the user's boards what PyTorch computed?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from tinyml.core.bundle import Bundle, StageParity
from tinyml.core.device import Device
from tinyml.core.errors import DeviceError, TinymlError, ValidationError, raise_first
from tinyml.core.events import Report
from tinyml.core.measurement import Label
from tinyml.device.link import Link
from tinyml.pipeline.checked_bundle import read_checked
from tinyml.pipeline.devices.at_once import at_once
from tinyml.pipeline.devices.opened import opened
from tinyml.pipeline.outputs.reference import Reference
from tinyml.pipeline.verify_on_link import FileOnLink, error_of, verify_on_link

Verdict = Literal["pass", "fail", "failed", "not installed"]


@dataclass(frozen=True, slots=True)
class FileVerdict:
    """A model file on a device. ``error``: why it ``failed``, or that its runtime is missing."""

    path: str
    precision: str
    runtime: str
    version: str
    verdict: Verdict
    rows: tuple[StageParity, ...]
    error: str
    hint: str


@dataclass(frozen=True, slots=True)
class DeviceVerdict:
    """What came of a device: its files, or why there are none."""

    device: str
    label: Label | None
    files: tuple[FileVerdict, ...]
    error: str
    hint: str


@dataclass(frozen=True, slots=True)
class DeviceVerification:
    """``files`` as they computed on ``device``, or the ``failure`` before that."""

    device: str
    label: Label | None = None
    files: tuple[FileOnLink, ...] = ()
    failure: TinymlError | None = None

    @property
    def errors(self) -> list[TinymlError]:
        """A runtime that is not installed there is one only where no file was judged."""
        judged = any(file.rows for file in self.files)
        found = [file for file in self.files if not (judged and file.not_installed)]
        return [
            *([self.failure] if self.failure else []),
            *(error for file in found if (error := error_of(file, self.device)) is not None),
        ]

    @property
    def passes(self) -> bool:
        """Whether something was judged there, and nothing is wrong."""
        return not self.errors

    @property
    def verdict(self) -> DeviceVerdict:
        error, hint = _texts(self.failure)
        files = tuple(map(_verdict, self.files))
        return DeviceVerdict(self.device, self.label, files, error, hint)


@dataclass(frozen=True, slots=True)
class VerifiedOnDevices:
    """What ``tinyml verify --device --json`` prints: ``files`` are those of the bundle."""

    files: int
    digest: str
    devices: tuple[DeviceVerdict, ...]


@dataclass(frozen=True, slots=True)
class DevicesVerification:
    """A bundle of ``files`` unchanged files, on several devices."""

    files: int
    digest: str
    devices: tuple[DeviceVerification, ...]

    @property
    def report(self) -> VerifiedOnDevices:
        verdicts = tuple(own.verdict for own in self.devices)
        return VerifiedOnDevices(self.files, self.digest, verdicts)

    def check(self) -> None:
        """Raise the first error, that of wrong outputs if there is one; it names the others."""
        errors = [error for own in self.devices for error in own.errors]
        raise_first(sorted(errors, key=lambda error: not isinstance(error, ValidationError)))


def verify_on_devices(
    folder: Path, devices: Sequence[Device], report: Report, digest: str | None = None
) -> DevicesVerification:
    """Every model file of the bundle in ``folder`` on each of ``devices``, at once.

    Those of its streaming graphs too, with paths in the bundle.
    A device that fails leaves the others. Raises as `tinyml.pipeline.verify.verify` for a bundle
    that is not whole.
    """
    bundle, expected = read_checked(folder, digest)
    graphs = {own: read_checked(folder / own) for own in bundle.facts.graphs}

    def run(device: Device, report: Report) -> DeviceVerification:
        try:
            with opened(device, bundle, "verify", report) as link:
                whole = verify_on_link(link, bundle, expected, report)
                files = (*whole, *_graphs_on_link(link, graphs, report))
                return DeviceVerification(device.name, link.label, files)
        except (DeviceError, ValidationError) as error:
            return DeviceVerification(device.name, failure=error)

    outcome = lambda own: "done" if own.passes else "failed"  # noqa: E731
    found = tuple(at_once(run, devices, report, outcome))
    return DevicesVerification(len(bundle.files), bundle.digest, found)


def _graphs_on_link(
    link: Link, graphs: Mapping[str, tuple[Bundle, Reference]], report: Report
) -> Iterator[FileOnLink]:
    for folder, (part, expected) in graphs.items():
        for file in verify_on_link(link, part, expected, report):
            yield replace(file, path=f"{folder}/{file.path}")


def _verdict(file: FileOnLink) -> FileVerdict:
    error, hint = _texts(file.failure)
    return FileVerdict(
        file.path,
        file.precision,
        file.runtime,
        file.version,
        verdict_of(file),
        file.rows,
        error,
        hint,
    )


def verdict_of(file: FileOnLink) -> Verdict:
    """In a word."""
    if file.not_installed:
        return "not installed"
    if file.failure is not None:
        return "failed"
    return "pass" if file.passes else "fail"


def _texts(error: TinymlError | None) -> tuple[str, str]:
    return (error.message, error.hint) if error else ("", "")
