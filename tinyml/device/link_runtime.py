"""A runtime as it computes on the machine of a link: outputs are made there and read here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tinyml.core.errors import DeviceError, InputError, ValidationError
from tinyml.core.files import sha256
from tinyml.core.spec import Array, Arrays, Signature
from tinyml.device import served_model
from tinyml.device.link import Link
from tinyml.device.program import Program
from tinyml.device.runner_command import serving_command
from tinyml.device.served_model import ServedModel
from tinyml.runtimes.base import Reader, Runtime, Wrapped


@dataclass(slots=True)
class LinkRuntime(Wrapped):
    """``engine`` as a `Runtime` on the machine of ``link``, where the ``runner`` lies.

    Each session is a process there, which `close` ends. It does not read inside: only outputs come
    back. ``signature`` is that of the files.

    Raises `RuntimeMissingError` for a runtime that is not there, `DeviceError` for one that refuses
    the file, fails or crashes, and `ValidationError` for a file that is another one there.
    """

    engine: Runtime
    link: Link
    runner: Program
    signature: Signature
    ran: str | None = field(default=None, init=False)
    served: list[ServedModel] = field(default_factory=list, init=False)

    def close(self) -> None:
        """End the processes there."""
        while self.served:
            self.served.pop().close()

    @property
    def reads_inside(self) -> bool:
        return False

    def version(self) -> str | None:
        """What the last session runs in; ``None`` before the first."""
        return self.ran

    def open(self, path: Path, *, threads: int = 1) -> LinkSession:
        link, title = self.link, f"{path.name}, {self.name} on {self.link.name}"
        there = link.push(path, path.name)
        command = serving_command(
            link, self.runner, there, self.name, threads=threads, limit_s=served_model.TIMEOUT_S
        )
        model = ServedModel(link, command, title)
        self.served.append(model)
        if model.loaded.get("model_sha256") != sha256(path):
            raise ValidationError(f"{path.name} is another file on {link.name} than here")
        self.ran = str(model.loaded.get("version"))
        return LinkSession(model, self.signature, str(model.loaded.get("precision", "")))

    def reader(self, path: Path, names: Sequence[str]) -> Reader:
        raise InputError(f"{path}: {self.name} on {self.link.name} shows outputs alone")

    def read_tensors(self, path: Path, names: Sequence[str], inputs: Arrays) -> dict[str, Array]:
        return self.reader(path, names)(inputs)


@dataclass(frozen=True, slots=True)
class LinkSession:
    """A model that a process on the machine has loaded."""

    model: ServedModel
    signature: Signature
    precision: str

    def run(self, inputs: Arrays) -> dict[str, Array]:
        """As `Session.run`; `DeviceError` for outputs of other names or shapes than the model's."""
        found = self.model.run(inputs)
        got = {name: array.shape for name, array in found.items()}
        wanted = {spec.name: spec.shape for spec in self.signature.outputs}
        if got != wanted:
            raise DeviceError(f"{self.model.title}: the outputs are {got}, not {wanted}")
        return found
