"""``adaptive_avg_pool(x, size)`` -> products with constant matrices, one for each axis.

Row i of a matrix is 1/n over the n samples of window i, ``floor(i * length / size)`` up to
``ceil((i + 1) * length / size)``. An average over two axes is one over each in turn.

Refused where every size divides its length: both formats have that as a plain pooling.
Else LiteRT writes a slice and a mean for each window, ONNX's exporter nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.fx import Node

from tinyml.export.capture.constants import add_constant
from tinyml.export.nodes import Writer, shape_of
from tinyml.export.outcome import Outcome

PLAIN = "its sizes divide its lengths: a plain pooling"
FIRES_IN = "adaptive-pooling"

_aten = torch.ops.aten
_POOLINGS = (_aten.adaptive_avg_pool1d.default, _aten.adaptive_avg_pool2d.default)


def average_by_matrix(program: ExportedProgram, stages: dict[str, str | None]) -> Outcome:
    """Replace poolings whose windows differ in length."""
    found = [node for node in program.graph.nodes if node.target in _POOLINGS]
    refused = {node.name: PLAIN for node in found if not _has_uneven_windows(node)}
    for node in found:
        if node.name not in refused:
            _replace(program, node)
    return Outcome(len(found) - len(refused), refused)


def windows(length: int, size: int) -> list[tuple[int, int]]:
    """First sample and the one behind the last, of each window."""
    return [(i * length // size, -(-(i + 1) * length // size)) for i in range(size)]


def _has_uneven_windows(node: Node) -> bool:
    lengths, sizes = shape_of(node.args[0]), shape_of(node)
    return any(length % size for length, size in zip(lengths, sizes, strict=True))


def _replace(program: ExportedProgram, node: Node) -> None:
    write, y = Writer(program, node), node.args[0]
    assert isinstance(y, Node)
    rank = len(shape_of(node))
    for axis in range(rank - len(node.args[1]), rank):  # type: ignore[arg-type]
        length, size = shape_of(y)[axis], shape_of(node)[axis]
        if length == size:
            continue
        last = axis == rank - 1
        matrix = _matrix(length, size)
        name = f"{node.name}_axis{axis}"
        constant = add_constant(program, name, matrix.T.contiguous() if last else matrix)
        y = write.call(_aten.matmul.default, *((y, constant) if last else (constant, y)))
    write.replace(y)


def _matrix(length: int, size: int) -> Tensor:
    """[size, length]"""
    matrix = torch.zeros(size, length)
    for row, (start, end) in enumerate(windows(length, size)):
        matrix[row, start:end] = 1.0 / (end - start)
    return matrix
