"""A float32 .tflite and its `QuantPlan` -> the same in integers, by ai-edge-quantizer.

``python -m tinyml.export.quantize_tflite FLOAT PLAN.json FACTS.json OUT OUT.json [--dense]``

Ranges are the plan's: the quantizer's own calibration is never run. FACTS are the float
file's, OUT.json those of OUT. Inputs and outputs stay float32.
"""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tinyml.errors import ExportError
from tinyml.export import facts, flatbuffer, plan
from tinyml.export.passes.tflite import rewrite
from tinyml.export.passes.tflite.cast_weights_to_float16 import own_constants
from tinyml.export.plan import QuantPlan
from tinyml.export.precision import integers_of
from tinyml.export.tflite_runtimes import minimum_runtime
from tinyml.export.weight_ranges import weight_ranges
from tinyml.files import write_bytes

ALL = "*"


def quantize(model: Any, planned: QuantPlan) -> Any:
    """A new ``schema.ModelT``; `ExportError` when the quantizer refuses."""
    from ai_edge_quantizer import quantizer

    config = dict(integers_of(planned.precision).TFLITE)
    rules = [_rule(".*", ALL, "min_max_uniform_quantize", config)]
    rules += [_rule(".*", end, "no_quantize", {}) for end in ("INPUT", "OUTPUT")]
    if planned.kept:
        own_constants(model, planned.kept)
        named = "|".join(re.escape(name) for name in sorted(planned.kept))
        rules.append(_rule(f"^(?:{named});", ALL, "no_quantize", {}))
    ranges = {
        name: {"min": np.array([own.low], np.float32), "max": np.array([own.high], np.float32)}
        for name, own in planned.quantized.items()
    }
    widened = weight_ranges(model, planned.quantized)
    ranges |= {name: {"min": -largest, "max": largest} for name, largest in widened.items()}
    try:
        made = quantizer.Quantizer(bytearray(flatbuffer.pack(model)), rules).quantize(ranges)
    except (ValueError, RuntimeError, KeyError) as error:
        raise ExportError(f"ai-edge-quantizer refuses the model: {error}") from error
    return flatbuffer.unpack(bytes(made.quantized_model))


def _rule(regex: str, operation: str, algorithm: str, config: dict[str, Any]) -> dict[str, Any]:
    return {
        "regex": regex,
        "operation": operation,
        "algorithm_key": algorithm,
        "op_config": config,
    }


def quantized_bytes(path: Path, planned: QuantPlan) -> bytes:
    """The float32 file at ``path`` in integers, not rewritten any further."""
    return flatbuffer.pack(quantize(flatbuffer.unpack(path.read_bytes()), planned))


def integers(model: Any) -> int:
    """Tensors of eight or sixteen bits."""
    from ai_edge_litert import schema_py_generated as schema

    kinds = (schema.TensorType.INT8, schema.TensorType.INT16)
    return sum(tensor.type in kinds for graph in model.subgraphs for tensor in graph.tensors)


def main(given: list[str]) -> None:
    """The child."""
    parser = argparse.ArgumentParser()
    for name in ("float", "plan", "facts", "out", "out_facts"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--dense", action="store_true")
    asked = parser.parse_args(given)
    planned, known = plan.load(asked.plan), facts.load(asked.facts)
    model = quantize(flatbuffer.unpack(asked.float.read_bytes()), planned)
    passes = {**known.passes, f"to_{planned.precision}": integers(model)}
    passes |= {k: v for k, v in rewrite(model, sparse=not asked.dense).items() if v}
    write_bytes(asked.out, flatbuffer.pack(model))
    names = {flatbuffer.text(tensor.name) for tensor in model.subgraphs[0].tensors}
    stages = {stage: name if name in names else None for stage, name in known.stages.items()}
    codes = [(flatbuffer.operator_name(c), int(c.version)) for c in model.operatorCodes]
    made = replace(
        known,
        precision=planned.precision,
        passes=passes,
        stages=stages,
        minimum_runtime=minimum_runtime(codes),
        twin=(),
        twin_note="",
    )
    made.save(asked.out_facts)


if __name__ == "__main__":
    main(sys.argv[1:])
