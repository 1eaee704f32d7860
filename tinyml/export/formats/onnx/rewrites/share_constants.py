"""Two constants of equal type, shape and bytes -> one: onnx_ir's deduplication.

A module called twice has its folded weights twice; paddings repeat. Compared by their
bytes, so 0.0 and -0.0 stay two. One that is an output of the model stays.
"""

from __future__ import annotations

import sys

import onnx_ir as ir
from onnx_ir.passes.common import DeduplicateInitializersPass

from tinyml.export.outcome import Outcome

FIRES_IN = "small"


def share_constants(model: ir.Model) -> Outcome:
    """Return the number of constants removed."""
    before = len(model.graph.initializers)
    # Large ones too: the library's own limit spares it to hash weights.
    DeduplicateInitializersPass(size_limit=sys.maxsize)(model)
    return Outcome(before - len(model.graph.initializers))
