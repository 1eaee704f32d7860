"""Rules that ai-edge-quantizer follows: the last one that fits an operator holds."""

from __future__ import annotations

import copy
import re
from collections.abc import Collection, Mapping
from typing import Any

from tinyml.modelfile import tflite_file

# The algorithm that leaves an operator as it is.
NOT = "no_quantize"


def rule(
    regex: str, algorithm: str, config: Mapping[str, Any] | None = None, operation: str = "*"
) -> dict[str, Any]:
    """``regex`` is matched with the outputs' names, each followed by a semicolon."""
    return {
        "regex": regex,
        "operation": operation,
        "algorithm_key": algorithm,
        "op_config": dict(config or {}),
    }


def keeping(model: Any, kept: Collection[str]) -> list[dict[str, Any]]:
    """The rule for operators that compute one of the tensors ``kept``: they stay.

    ``model`` is changed: their constants become theirs alone.
    """
    if not kept:
        return []
    _own_constants(model, kept)
    return [rule(of_outputs(kept), NOT)]


def of_outputs(names: Collection[str]) -> str:
    """The regex of a `rule` for operators that compute one of ``names``."""
    named = "|".join(re.escape(name) for name in sorted(names))
    return f"^(?:{named});"


def _own_constants(model: Any, keep: Collection[str]) -> None:
    """A constant of a kept operator is its alone: the quantizer cannot have it both ways."""
    for graph in model.subgraphs:
        computed = {int(index) for operator in graph.operators for index in operator.outputs}
        computed |= {int(index) for index in graph.inputs}
        for operator in graph.operators:
            if not any(tflite_file.text(graph.tensors[i].name) in keep for i in operator.outputs):
                continue
            operator.inputs = [
                index if index < 0 or index in computed else _copied(model, graph, index)
                for index in map(int, operator.inputs)
            ]


def _copied(model: Any, graph: Any, index: int) -> int:
    tensor = copy.copy(graph.tensors[index])
    tensor.name = f"{tflite_file.text(tensor.name)}~{len(graph.tensors)}"
    model.buffers.append(copy.copy(model.buffers[tensor.buffer]))
    tensor.buffer = len(model.buffers) - 1
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1
