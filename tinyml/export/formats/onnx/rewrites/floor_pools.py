"""``Pool(ceil_mode=1)`` -> ``Pool(ceil_mode=0)`` where PyTorch drops a window.

PyTorch drops a window that would begin in the padding behind the end; ONNX's shape inference does
not know that, old runtimes do not either, and shapes that follow are wrong. Without ``ceil_mode``
there is no such window. An axis whose last window does hang over the end is padded as far as it
needs.

Refused where an average counts its padding and hangs over the end: PyTorch does not count what is
behind the padding. So is padding as wide as the window, which ONNX does not allow.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from tinyml.export.outcome import Outcome

FIRES_IN = "dropped window"
POOLS = ("MaxPool", "AveragePool")


@dataclass(frozen=True, slots=True)
class _Axis:
    """One axis of a pool: sizes of input and output, the window's reach, and paddings."""

    into: int
    out: int
    reach: int
    stride: int
    begin: int
    end: int

    @property
    def dropped(self) -> bool:
        """Whether ``ceil_mode`` as ONNX has it would give more windows."""
        rest = self.into + self.begin + self.end - self.reach
        return self.out < -(-rest // self.stride) + 1

    @property
    def needed(self) -> int:
        """Padding at the end that gives these windows without ``ceil_mode``."""
        covered = (self.out - 1) * self.stride + self.reach
        return max(self.end, covered - self.into - self.begin)


def floor_pools(model: ir.Model) -> Outcome:
    """Return the number of pools that changed, and why others with such a window did not."""
    count, refused = 0, {}
    for node in model.graph:
        axes = _axes(node)
        if not any(axis.dropped for axis in axes):
            continue
        hang = [axis for axis in axes if axis.needed > axis.end]
        counted = node.attributes.get_int("count_include_pad", 0)
        if hang and node.op_type == "AveragePool" and counted:
            refused[str(node.outputs[0].name)] = "it counts padding, and hangs over its end"
        elif any(axis.needed >= axis.reach for axis in hang):
            refused[str(node.outputs[0].name)] = "its padding would be as wide as its window"
        else:
            pads = [axis.begin for axis in axes] + [axis.needed for axis in axes]
            node.attributes.add(ir.AttrInt64s("pads", pads))
            node.attributes.add(ir.AttrInt64("ceil_mode", 0))
            count += 1
    return Outcome(count, refused)


def _axes(node: ir.Node) -> list[_Axis]:
    """The axes of a pool with ``ceil_mode``; nothing of any other node."""
    if node.op_type not in POOLS or not node.attributes.get_int("ceil_mode", 0):
        return []
    into, out = node.inputs[0], node.outputs[0]
    if into is None or into.shape is None or out.shape is None:
        return []
    kernel = node.attributes.get_ints("kernel_shape", [])
    ones, zeros = [1] * len(kernel), [0] * 2 * len(kernel)
    strides = node.attributes.get_ints("strides", ones)
    dilations = node.attributes.get_ints("dilations", ones)
    pads = node.attributes.get_ints("pads", zeros)
    return [
        _Axis(
            into=int(into.shape.numpy()[place + 2]),
            out=int(out.shape.numpy()[place + 2]),
            reach=dilations[place] * (kernel[place] - 1) + 1,
            stride=strides[place],
            begin=pads[place],
            end=pads[place + len(kernel)],
        )
        for place in range(len(kernel))
    ]
