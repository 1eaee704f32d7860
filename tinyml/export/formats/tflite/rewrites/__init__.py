"""Rewrites of the flatbuffer's objects, in the order applied. Each returns its `Outcome`.

``FIRES_IN`` of a rewrite's module names the network of the tests in which it must fire.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinyml.export.formats.tflite.rewrites.average_by_depthwise import average_by_depthwise
from tinyml.export.formats.tflite.rewrites.average_by_mean import average_by_mean
from tinyml.export.formats.tflite.rewrites.drop_unused import drop_unused
from tinyml.export.formats.tflite.rewrites.fold_constants import fold_constants
from tinyml.export.formats.tflite.rewrites.pad_explicitly import pad_explicitly
from tinyml.export.formats.tflite.rewrites.share_buffers import share_buffers
from tinyml.export.formats.tflite.rewrites.store_sparse import store_sparse
from tinyml.export.formats.tflite.rewrites.strip_metadata import strip_metadata
from tinyml.export.outcome import Outcome

REWRITES: dict[str, Callable[[Any], Outcome]] = {
    "strip_metadata": strip_metadata,
    "fold_constants": fold_constants,
    "store_sparse": store_sparse,
    "pad_explicitly": pad_explicitly,
    "average_by_mean": average_by_mean,
    "average_by_depthwise": average_by_depthwise,
    "drop_unused": drop_unused,
    "share_buffers": share_buffers,
}

# Left out by ``--sparse off``: the storage, and what lets a runtime compute with it.
SPARSE = ("store_sparse", "pad_explicitly", "average_by_mean", "average_by_depthwise")


def rewrite(model: Any, *, sparse: bool = True) -> dict[str, int]:
    """Apply every pass to ``model``, a ``schema.ModelT``, in place; returns the counts."""
    chosen = {name: apply for name, apply in REWRITES.items() if sparse or name not in SPARSE}
    return {name: apply(model).count for name, apply in chosen.items()}
