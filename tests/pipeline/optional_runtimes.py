"""Engines for the files of `throwaway_format`: what can become of a file in each.

They are loaded in child processes, so they import nothing that is slow.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinyml.core.errors import InputError
from tinyml.core.spec import Array, Arrays, Signature, TensorSpec
from tinyml.runtimes.base import Reader, refusal


@dataclass(frozen=True, slots=True)
class Agreeing:
    """See `tinyml.runtimes.base.Runtime`, of which `open` returns a session: itself.

    The right outputs, without anything inside.
    """

    path: Path = Path()
    name: str = "agreeing"
    formats: tuple[str, ...] = ("npz",)
    optimised: str = "agreeing+fusion"
    package: str = "agreeing"
    extra: str = "agreeing"
    has_delegate: bool = False
    reads_inside: bool = False
    precision: str = "float32"

    def version(self) -> str | None:
        return "1"

    @property
    def signature(self) -> Signature:
        outputs, inputs = np.load(self.path)["weight"].shape
        return Signature((TensorSpec("x", (1, inputs)),), (TensorSpec("output", (1, outputs)),))

    def open(self, path: Path, *, threads: int = 1) -> Agreeing:
        return type(self)(path)

    def run(self, inputs: Arrays) -> dict[str, Array]:
        stored = np.load(self.path)
        return {"output": inputs["x"] @ stored["weight"].T + stored["bias"]}

    def reader(self, path: Path, names: Sequence[str]) -> Reader:
        raise InputError(f"{path}: shows nothing")

    def read_tensors(self, path: Path, names: Sequence[str], inputs: Arrays) -> dict[str, Array]:
        return self.reader(path, names)(inputs)


@dataclass(frozen=True, slots=True)
class Refusing(Agreeing):
    name: str = "refusing"
    optimised: str = "refusing+fusion"

    def open(self, path: Path, *, threads: int = 1) -> Agreeing:
        raise refusal(path, self.name, "No suitable implementations")


@dataclass(frozen=True, slots=True)
class Differing(Agreeing):
    name: str = "differing"
    optimised: str = "differing+fusion"

    def run(self, inputs: Arrays) -> dict[str, Array]:
        return {name: value + 1 for name, value in Agreeing.run(self, inputs).items()}


@dataclass(frozen=True, slots=True)
class Crashing(Agreeing):
    name: str = "crashing"
    optimised: str = "crashing+fusion"

    def open(self, path: Path, *, threads: int = 1) -> Agreeing:
        os.kill(os.getpid(), signal.SIGSEGV)
        raise AssertionError("unreachable")


@dataclass(frozen=True, slots=True)
class Missing(Agreeing):
    name: str = "missing"
    optimised: str = "missing+fusion"

    def version(self) -> None:
        return None


AGREEING, REFUSING, DIFFERING = Agreeing(), Refusing(), Differing()
CRASHING, MISSING = Crashing(), Missing()
