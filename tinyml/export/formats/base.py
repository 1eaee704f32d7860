"""What a file format offers: a new one is a folder that holds one of these, and a registry row.

A format's package is imported by everything that lists formats, so it imports its converter
only inside the functions that need it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from tinyml.export.capture.program import Captured
    from tinyml.export.facts import Facts
    from tinyml.export.formats.bias_editor import BiasEditor
    from tinyml.modelfile.graph import Graph


class Format(Protocol):
    """One format of model files, as a frozen value.

    name              as in the registry, in manifests and on the command line
    suffix            of its files, with the dot
    runtime           the registry's name of the engine that runs it
    extra             the optional dependencies that writing it takes, as pip calls them
    needs             (module, distribution) that writing imports
    refusal           how its converter refuses a part, with ``{}`` for the part
    writer            the module that a child process runs to write a float file
    quantizer         the module that a child process runs to quantize one
    computes_float16  whether its engine computes in float16, or only stores it
    stores_sparse     whether weights can be stored without their zeros
    has_script        whether ``run.py`` of a bundle runs it on a board
    minimum_runtime   the oldest that reads a float file; empty: each file has its own
    """

    @property
    def name(self) -> str: ...
    @property
    def suffix(self) -> str: ...
    @property
    def runtime(self) -> str: ...
    @property
    def extra(self) -> str: ...
    @property
    def needs(self) -> tuple[tuple[str, str], ...]: ...
    @property
    def refusal(self) -> str: ...
    @property
    def writer(self) -> str: ...
    @property
    def quantizer(self) -> str: ...
    @property
    def computes_float16(self) -> bool: ...
    @property
    def stores_sparse(self) -> bool: ...
    @property
    def has_script(self) -> bool: ...
    @property
    def minimum_runtime(self) -> str: ...

    def write(
        self,
        captured: Captured,
        path: Path,
        *,
        sparse: bool = True,
    ) -> Facts:
        """Write ``captured`` to ``path`` in float32; the same capture gives the same bytes.

        ``sparse``: weights with zeros may be stored without them. Raises `ExportError` for what
        the converter or the format cannot hold.
        """

    def read_graph(self, path: Path) -> Graph:
        """The operators and tensors of a file that we wrote; `InputError` if it is not whole."""

    def rewrite(self, model: Any, *, sparse: bool = True) -> Mapping[str, int]:
        """Apply the format's rewrites to its own model object in place; how often each fired."""

    def quantize(self, path: Path, plan: Any) -> bytes:
        """The float32 file at ``path`` quantized as ``plan``, a `QuantPlan`, decides."""

    def newest_part(self, path: Path) -> str:
        """What of a file that we wrote asks for its oldest runtime, as ``GELU version 2``."""

    def bias_editor(self) -> BiasEditor:
        """The module that reads and changes weights and biases of a float32 file."""

    def cut(self, path: Path, tensor: str, out: Path) -> tuple[str, ...]:
        """Write to ``out`` what of the file computes ``tensor``; the names of its inputs."""
