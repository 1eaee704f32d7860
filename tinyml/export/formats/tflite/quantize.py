"""A float32 .tflite and its `QuantPlan` -> the same in integers, by ai-edge-quantizer.

A program, see `tinyml.export.quantization.run_quantizer`.

Ranges are the plan's: the quantizer's own calibration is never run. Inputs and outputs stay
float32, unless the plan has them in integers.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tinyml.core.errors import ExportError
from tinyml.core.spec import Array
from tinyml.export.facts import Facts
from tinyml.export.formats.tflite.cast_weights_to_float16 import cast_weights_to_float16
from tinyml.export.formats.tflite.clamp_ranges import clamp_ranges
from tinyml.export.formats.tflite.correct_biases import correct_biases, set_weights
from tinyml.export.formats.tflite.minimum_runtime import minimum_runtime, operators_of
from tinyml.export.formats.tflite.quantized_io import read_quantized_io
from tinyml.export.formats.tflite.quantizer_rules import NOT, keeping, of_outputs, rule
from tinyml.export.formats.tflite.rewrites import rewrite
from tinyml.export.quantization.fp16_plan import Float16Plan
from tinyml.export.quantization.infinity import endless_pads
from tinyml.export.quantization.integer_kernels import excluded, is_constant_first
from tinyml.export.quantization.plan import QuantPlan
from tinyml.export.quantization.precision import find_precision
from tinyml.export.quantization.run_quantizer import AnyPlan, Quantized, run_quantizer
from tinyml.export.quantization.weight_ranges import output_ranges, weight_ranges
from tinyml.modelfile import tflite_file
from tinyml.modelfile.float_layers import float_layers
from tinyml.modelfile.tflite_edit import add_constant, name_of, operators_called
from tinyml.modelfile.tflite_graph import graph_of_tflite

# The algorithm of all that is quantized.
QUANTIZE = "min_max_uniform_quantize"
# ai-edge-quantizer's word for one scale a weight.
ONE_SCALE = {"granularity": "TENSORWISE"}
# Of int8: tensorflow/lite/tools/versioning/op_version.cc.
DEQUANTIZE_VERSION = {"per-tensor": 2, "per-channel": 5}


def quantize(model: Any, planned: QuantPlan, adapted: Mapping[str, Array] | None = None) -> Any:
    """A new ``schema.ModelT``; `ExportError` when the quantizer refuses.

    ``adapted``: weights of layers, by output, that lie on their grid of integers already.
    """
    from ai_edge_quantizer import quantizer

    set_weights(model, adapted or {})
    correct_biases(model, planned.shifts)
    _bound_pads(model, planned)
    precision = find_precision(planned.precision)
    config = dict(precision.quantizers["tflite"])
    if planned.weight_scales == "per-tensor":
        config["weight_tensor_config"] = {**config["weight_tensor_config"], **ONE_SCALE}
    rules = [rule(".*", QUANTIZE, config)]
    if not precision.weights_only and (scaled := _constant_first(model)):
        one = {**config, "weight_tensor_config": {**config["weight_tensor_config"], **ONE_SCALE}}
        rules.append(rule(of_outputs(scaled), QUANTIZE, one))
    if planned.io == "float":
        rules += [rule(".*", NOT, operation=end) for end in ("INPUT", "OUTPUT")]
    rules += keeping(model, excluded(planned.kept))
    ranges = {} if precision.weights_only else _ranges(model, planned)
    try:
        made = quantizer.Quantizer(bytearray(tflite_file.pack(model)), rules).quantize(ranges)
    except (ValueError, RuntimeError, KeyError) as error:
        raise ExportError(f"ai-edge-quantizer refuses the model: {error}") from error
    quantized = tflite_file.unpack(bytes(made.quantized_model))
    _read_integers(quantized)
    if precision.weights_only:
        _tell_version(quantized, planned.weight_scales)
    return quantized


def _read_integers(model: Any) -> None:
    """Give the last operator the integers back that it computes with.

    The quantizer gives every output out through a DEQUANTIZE; where the last operator of the
    file reads an output, it reads that of the DEQUANTIZE then: ai-edge-quantizer knows the end
    of a graph as reader -1.
    """
    for graph in model.subgraphs:
        named = [(name_of(model, operator), operator) for operator in graph.operators]
        made = {int(o.outputs[0]): int(o.inputs[0]) for name, o in named if name == "DEQUANTIZE"}
        for name, operator in named:
            outputs = [graph.tensors[int(index)] for index in operator.outputs]
            if name != "QUANTIZE" and any(map(_is_quantized, outputs)):
                operator.inputs = [made.get(int(index), int(index)) for index in operator.inputs]


def _is_quantized(tensor: Any) -> bool:
    told = tensor.quantization
    return tensor.type in _integer_types() and told is not None and told.scale is not None


def _integer_types() -> tuple[int, int]:
    from ai_edge_litert import schema_py_generated as schema

    return schema.TensorType.INT8, schema.TensorType.INT16


def _constant_first(model: Any) -> list[str]:
    """Products of a constant with what is computed, by output.

    Their constant gets one scale: LiteRT 2.3 answers zero where it has one a column.
    """
    graph = graph_of_tflite(model)
    return [own.name for own in graph.operators if is_constant_first(graph, own)]


def _bound_pads(model: Any, planned: QuantPlan) -> None:
    """Pads with minus infinity that become integers pad with the smallest value seen."""
    endless = endless_pads(graph_of_tflite(model))
    for output, operator in operators_called(model, "PADV2"):
        if output in endless and output in planned.quantized and output not in planned.kept:
            low = np.array([planned.quantized[output].low], np.float32)
            fill = add_constant(model, f"{output}~fill", low)
            operator.inputs = np.array([*operator.inputs[:2], fill], np.int32)


def _ranges(model: Any, planned: QuantPlan) -> dict[str, dict[str, Array]]:
    """Of activations as planned, and wider ones where a bias, XNNPACK or a clamp needs them."""
    graph = graph_of_tflite(model)
    layers = list(float_layers(graph))
    widened = weight_ranges(layers, planned.quantized, planned.weight_scales, planned.activations)
    planned_ranges = {
        **planned.quantized,
        **clamp_ranges(graph, planned.quantized),
        **output_ranges(layers, planned.quantized, widened),
    }
    ranges = {
        name: {"min": np.array([own.low], np.float32), "max": np.array([own.high], np.float32)}
        for name, own in planned_ranges.items()
    }
    return ranges | {name: {"min": -top, "max": top} for name, top in widened.items()}


def _tell_version(model: Any, scales: str) -> None:
    """The quantizer leaves DEQUANTIZE at version 1, which takes no int8."""
    for code in model.operatorCodes:
        if tflite_file.operator_name(code) == "DEQUANTIZE":
            code.version = max(code.version, DEQUANTIZE_VERSION[scales])


def quantized_bytes(path: Path, planned: QuantPlan) -> bytes:
    """The float32 file at ``path`` in integers, not rewritten any further."""
    model = tflite_file.unpack(path.read_bytes())
    return tflite_file.pack(quantize(model, planned, planned.adapted(path)))


def integers(model: Any) -> int:
    """Tensors of eight or sixteen bits."""
    kinds = _integer_types()
    return sum(tensor.type in kinds for graph in model.subgraphs for tensor in graph.tensors)


def perform(path: Path, planned: AnyPlan, known: Facts, dense: bool) -> Quantized:
    """Perform ``planned`` on the float32 file at ``path``, whose facts are ``known``."""
    model = tflite_file.unpack(path.read_bytes())
    if isinstance(planned, Float16Plan):
        model, count = cast_weights_to_float16(model, planned.tensors(known.made))
        passes = {f"to_{planned.precision}": count}
        passes |= {name: count for name, count in rewrite(model, sparse=not dense).items() if count}
        return Quantized(tflite_file.pack(model), passes, known.stages, _oldest_runtime(model))
    model = quantize(model, planned, planned.adapted(path))
    passes = {f"to_{planned.precision}": integers(model), **planned.passes}
    passes |= {name: count for name, count in rewrite(model, sparse=not dense).items() if count}
    names = {tflite_file.text(tensor.name) for tensor in model.subgraphs[0].tensors}
    return Quantized(
        tflite_file.pack(model),
        passes,
        {stage: name if name in names else None for stage, name in known.stages.items()},
        _oldest_runtime(model),
        read_quantized_io(model) if planned.io != "float" else {},
    )


def _oldest_runtime(model: Any) -> str:
    return minimum_runtime(operators_of(model))


if __name__ == "__main__":
    run_quantizer(perform, sys.argv[1:])
