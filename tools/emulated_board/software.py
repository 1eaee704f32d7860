"""What is installed on an emulated board: a release of Debian, its Python, and wheels."""

from __future__ import annotations

from dataclasses import dataclass

from tinyml.core.target import System

# Runtime -> the name of its wheel.
WHEELS = {"litert": "ai-edge-litert", "onnxruntime": "onnxruntime"}


@dataclass(frozen=True, slots=True)
class Software:
    """``suite``: Debian's release; ``python``: its version there; ``wheels``: pip's requirements.

    pip takes the newest numpy that fits.
    """

    suite: str
    python: str
    wheels: tuple[str, ...]

    @property
    def interpreter(self) -> str:
        """The path of Python below the board's root."""
        return f"usr/bin/python{self.python}"


def of_system(suite: str, system: System) -> Software:
    """What ``system`` of a target has at most: its Python and the newest runtimes."""
    found = {WHEELS[name]: own for name, own in system.runtimes.items() if name in WHEELS}
    return Software(suite, system.python, tuple(f"{n}=={own}" for n, own in sorted(found.items())))


def with_litert(version: str) -> Software:
    """Debian 12 with LiteRT ``version`` alone."""
    return Software("bookworm", "3.11", (f"{WHEELS['litert']}=={version}",))
