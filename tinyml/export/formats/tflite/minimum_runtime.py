"""The oldest TFLite runtime that has every operator version of a file.

The file's own ``min_runtime_version`` metadata is not reliable, so it is computed from
the operators. tflite-runtime has TensorFlow's numbers; LiteRT counts anew and is later than all of
them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tinyml.core.versions import order
from tinyml.export.formats.tflite.operator_releases import RELEASES
from tinyml.modelfile.tflite_file import operator_name

TENSORFLOW, LITERT = "tflite-runtime>=", "ai-edge-litert>="
OLDEST = "1.5"
# What the table lacks is later than it: than the LiteRT that it ends with.
NEWER = "L2.3"


def minimum_runtime(operators: Iterable[tuple[str, int]]) -> str:
    """A requirement such as ``tflite-runtime>=2.3`` for (operator, version) pairs.

    An operator or version that the table lacks asks for the newest LiteRT of the table.
    """
    releases = (_release(*own) for own in operators)
    newest = max(releases, key=_age, default=OLDEST)
    return f"{LITERT}{newest[1:]}" if newest.startswith("L") else f"{TENSORFLOW}{newest}"


def newest_operator(operators: Iterable[tuple[str, int]]) -> tuple[str, int]:
    """The first of the (operator, version) pairs that ask for `minimum_runtime`."""
    return max(operators, key=lambda own: _age(_release(*own)))


def operators_of(model: Any) -> list[tuple[str, int]]:
    """(operator, version) pairs of a ``schema.ModelT``."""
    return [(operator_name(code), int(code.version)) for code in model.operatorCodes]


def _release(name: str, version: int) -> str:
    known = RELEASES.get(name, ())
    found = known[version - 1] if 1 <= version <= len(known) else "-"
    return NEWER if found == "-" else found


def _age(release: str) -> tuple[bool, tuple[int, ...]]:
    return release.startswith("L"), order(release)
