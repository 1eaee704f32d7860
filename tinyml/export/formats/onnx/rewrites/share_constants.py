"""Two constants of equal type, shape and bytes -> one.

A module called twice has its folded weights twice; paddings repeat. Compared by their
bytes, so 0.0 and -0.0 stay two.
"""

from __future__ import annotations

import onnx_ir as ir

_Key = tuple[ir.DataType, tuple[int, ...], bytes]


def share_constants(model: ir.Model) -> int:
    """Return the number of constants removed."""
    first: dict[_Key, ir.Value] = {}
    removed = 0
    for name, value in list(model.graph.initializers.items()):
        tensor = value.const_value
        if tensor is None or value.is_graph_output():
            continue
        key = (tensor.dtype, tuple(tensor.numpy().shape), tensor.tobytes())
        kept = first.setdefault(key, value)
        if kept is not value:
            ir.convenience.replace_all_uses_with(value, kept)
            del model.graph.initializers[name]
            removed += 1
    return removed
