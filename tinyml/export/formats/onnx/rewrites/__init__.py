"""Rewrites of the ONNX graph, in the order applied. Each returns its `Outcome`.

PyTorch's own ONNX optimizer stays off: it takes ``x + 1e-8`` for ``x``.

``FIRES_IN`` of a rewrite's module names the network of the tests in which it must fire.
"""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

from tinyml.export.formats.onnx.rewrites.drop_unused import drop_unused
from tinyml.export.formats.onnx.rewrites.drop_zero_bias import drop_zero_bias
from tinyml.export.formats.onnx.rewrites.floor_pools import floor_pools
from tinyml.export.formats.onnx.rewrites.fold_constants import fold_constants
from tinyml.export.formats.onnx.rewrites.share_constants import share_constants
from tinyml.export.outcome import Outcome

REWRITES: dict[str, Callable[[ir.Model], Outcome]] = {
    "fold_constants": fold_constants,
    "drop_zero_bias": drop_zero_bias,
    "floor_pools": floor_pools,
    "drop_unused": drop_unused,
    "share_constants": share_constants,
}


# What the writer does once it has read which node made what.
ON_REQUEST = ("strip_metadata",)


def rewrite(model: ir.Model) -> dict[str, int]:
    """Apply every rewrite to ``model`` in place; returns the counts."""
    return {name: apply(model).count for name, apply in REWRITES.items()}
