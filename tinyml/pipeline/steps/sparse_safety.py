"""Sparse files that a runtime computes wrongly are not shipped.

XNNPACK switches a part of a network to sparse kernels without asking what reads it; on
boards where it has them LiteRT then gives wrong numbers, silently. The PC that exports runs
the same file dense and sees nothing of it, so the verdict is that of the conditions.
"""

from __future__ import annotations

from pathlib import Path

from tinyml.core.target import all_targets
from tinyml.runtimes.sparse_support import sparse_use

BOARD = "rpi4"


def why_unsafe(path: Path) -> str:
    """Why the .tflite file ``path`` must not be stored sparse; empty where it may be."""
    board = all_targets()[BOARD]
    found = sparse_use(path, "litert", board.runtimes["litert"], board.arch, avx=False)
    if not found.runs_wrong:
        return ""
    first = found.reasons[0]
    return (
        f"zeros of {path.name} are stored like other values: LiteRT {found.version} would compute "
        f"it wrongly on ARM ({first.headed}: {first.value})"
    )
