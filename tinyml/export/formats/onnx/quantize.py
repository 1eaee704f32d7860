"""A float32 .onnx and its `QuantPlan` -> the same in integers, by onnxruntime's quantizer.

A program, see `tinyml.export.quantization.run_quantizer`.

Static precisions become QDQ: pairs of QuantizeLinear and DequantizeLinear, which runtimes
fuse into integer operators. Ranges are the plan's; onnxruntime's calibrators are never run.
``w8-dynamic`` becomes ConvInteger and MatMulInteger; of ``w8`` the weights alone change
(`weights_to_int8`). ``--dense`` changes nothing: no ONNX runtime has sparse kernels.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tinyml.core.errors import ExportError
from tinyml.core.export_settings import FLOAT
from tinyml.core.spec import Array
from tinyml.export.facts import Facts
from tinyml.export.formats.onnx.cast_to_float16 import cast_to_float16
from tinyml.export.formats.onnx.correct_biases import correct_biases, set_weights
from tinyml.export.formats.onnx.guard_float_layers import guard_float_layers
from tinyml.export.formats.onnx.own_weights import own_weights, share_integers
from tinyml.export.formats.onnx.quantized_io import (
    DEQUANTIZE,
    DEQUANTIZED,
    QUANTIZE,
    quantize_io,
)
from tinyml.export.formats.onnx.weights_to_int8 import INTEGERS, weights_to_int8
from tinyml.export.quantization.fp16_plan import Float16Plan
from tinyml.export.quantization.plan import QuantPlan
from tinyml.export.quantization.precision import find_precision
from tinyml.export.quantization.run_quantizer import AnyPlan, Quantized, run_quantizer
from tinyml.export.quantization.weight_ranges import weight_ranges
from tinyml.modelfile.float_layers import float_layers
from tinyml.modelfile.onnx_graph import graph_of_onnx

PAIRS = (QUANTIZE, DEQUANTIZE)
# As onnxruntime's quantizer calls them.
TYPES = {"int8": "QInt8", "uint8": "QUInt8", "int16": "QInt16"}


def quantize(model: Any, planned: QuantPlan, adapted: Mapping[str, Array] | None = None) -> Any:
    """A new ``onnx.ModelProto``; `ExportError` when onnxruntime refuses or finds nothing.

    ``adapted``: weights of layers, by output, that lie on their grid of integers already.
    """
    set_weights(model, adapted or {})
    if find_precision(planned.precision).weights_only:
        made = _weights_only(model, planned)
    else:
        made = _quantized_by_onnxruntime(model, planned)
    _tidy(made)
    return made


def _weights_only(model: Any, planned: QuantPlan) -> Any:
    import onnx

    made = onnx.ModelProto()
    made.CopyFrom(model)
    weights_to_int8(made, planned.kept, per_channel=planned.weight_scales == "per-channel")
    return made


def _quantized_by_onnxruntime(model: Any, planned: QuantPlan) -> Any:
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # onnxruntime is imported below
    correct_biases(model, planned.shifts)
    copies = own_weights(model, planned.kept)
    _name_nodes(model)
    kept = [node.name for node in model.graph.node if node.output[0] in planned.kept]
    try:
        quantized = _dynamic if find_precision(planned.precision).dynamic else _static
        made = quantized(model, planned, kept)
    except (ValueError, RuntimeError, KeyError, TypeError) as error:
        raise ExportError(f"onnxruntime's quantizer refuses the model: {error}") from error
    share_integers(made, copies)
    return made


def quantized_bytes(path: Path, planned: QuantPlan) -> bytes:
    """The float32 file at ``path`` in integers."""
    import onnx

    made = quantize(onnx.load(path), planned, planned.adapted(path))
    return bytes(made.SerializeToString(deterministic=True))


def _static(model: Any, planned: QuantPlan, kept: list[str]) -> Any:
    from onnxruntime.quantization import CalibrationMethod, QuantType
    from onnxruntime.quantization.calibrate import TensorsData
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
    from onnxruntime.quantization.registry import QDQRegistry

    found = {
        name: (np.float32(own.low), np.float32(own.high)) for name, own in planned.quantized.items()
    }
    settings = find_precision(planned.precision).quantizers["onnx"]
    quantizer = QDQQuantizer(
        _with_shapes(model),
        per_channel=planned.weight_scales == "per-channel",
        reduce_range=False,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType[TYPES[planned.activations]],
        tensors_range=TensorsData(CalibrationMethod.MinMax, found),
        nodes_to_quantize=[],
        nodes_to_exclude=kept,
        op_types_to_quantize=list(QDQRegistry),
        extra_options={
            "ActivationSymmetric": settings["symmetric_activations"],
            "WeightSymmetric": True,
            "UseQDQContribOps": False,
            "DedicatedQDQPair": False,
            "TensorQuantOverrides": {**_of_one_scale(model), **_widened(model, planned)},
        },
    )
    quantizer.quantize_model()
    made = _in_order(quantizer.model)
    guard_float_layers(made, planned.kept)
    return made


def _widened(model: Any, planned: QuantPlan) -> dict[str, list[dict[str, Any]]]:
    """The ranges of `weight_ranges` as onnxruntime's quantizer takes them: one a channel."""
    layers = {own.operator.weight: own for own in float_layers(graph_of_onnx(model))}
    found = weight_ranges(
        layers.values(), planned.quantized, planned.weight_scales, planned.activations
    )
    whole = planned.weight_scales == "per-tensor"
    axes = {name: {} if whole else {"axis": layers[name].traits.outputs} for name in found}
    return {
        name: [{"rmin": -own, "rmax": own, **axes[name]} for own in largest.ravel()]
        for name, largest in found.items()
    }


def _of_one_scale(model: Any) -> dict[str, list[dict[str, Any]]]:
    """Weights of transposed convolutions in groups: the quantizer has a scale too few for a bias.

    It takes a scale for each output of one group, and multiplies the biases of all groups.
    """
    from onnxruntime.quantization import QuantType

    several = {own.name for own in model.graph.initializer if own.dims[1:2] and own.dims[1] > 1}
    grouped = [
        node.input[1]
        for node in model.graph.node
        if node.op_type == "ConvTranspose"
        and node.input[1] in several
        and any(own.name == "group" and own.i > 1 for own in node.attribute)
    ]
    return {name: [{"quant_type": QuantType.QInt8}] for name in grouped}


def _dynamic(model: Any, planned: QuantPlan, kept: list[str]) -> Any:
    from onnxruntime.quantization import QuantizationMode, QuantType
    from onnxruntime.quantization.onnx_quantizer import ONNXQuantizer

    settings = find_precision(planned.precision).quantizers["onnx"]
    quantizer = ONNXQuantizer(
        _with_shapes(model),
        per_channel=False,
        reduce_range=False,
        mode=QuantizationMode.IntegerOps,
        static=False,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType[settings["activation_type"]],
        tensors_range=None,
        nodes_to_quantize=[],
        # A Gemm becomes a MatMul of another name before names are looked at.
        nodes_to_exclude=[*kept, *(f"{name}_MatMul" for name in kept)],
        op_types_to_quantize=["Conv", "MatMul", "Gemm"],
        extra_options={"WeightSymmetric": True},
    )
    quantizer.quantize_model()
    return _in_order(quantizer.model)


def _in_order(made: Any) -> Any:
    """The quantizer appends its nodes; ONNX wants each after what it reads."""
    made.topological_sort()
    return made.model


def _with_shapes(model: Any) -> Any:
    import onnx
    from onnxruntime.quantization.quant_utils import add_infer_metadata

    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    add_infer_metadata(inferred)
    return inferred


def _name_nodes(model: Any) -> None:
    """The quantizer excludes by name, and ours have none."""
    for number, node in enumerate(model.graph.node):
        node.name = f"{node.op_type}_{number}"


def _tidy(model: Any) -> None:
    """No word of the tool or the nodes' names stays in the file, and no constant unread."""
    read = {name for node in model.graph.node for name in node.input}
    read |= {value.name for value in model.graph.output}
    unread = [tensor for tensor in model.graph.initializer if tensor.name not in read]
    for tensor in unread:
        model.graph.initializer.remove(tensor)
    model.producer_name = model.producer_version = ""
    del model.metadata_props[:]
    del model.graph.value_info[:]
    for node in model.graph.node:
        node.name = ""


def _half(path: Path, planned: Float16Plan, known: Facts) -> Quantized:
    """The file with values and weights in float16, but for what the plan keeps."""
    import onnx_ir as ir

    model = ir.load(path)
    count = cast_to_float16(model, planned.tensors(known.made))
    data = ir.to_proto(model).SerializeToString(deterministic=True)
    passes = {f"to_{planned.precision}": count}
    return Quantized(data, passes, known.stages, known.minimum_runtime)


def perform(path: Path, planned: AnyPlan, known: Facts, dense: bool) -> Quantized:
    """Perform ``planned`` on the float32 file at ``path``, whose facts are ``known``."""
    import onnx

    if isinstance(planned, Float16Plan):
        return _half(path, planned, known)
    precision = find_precision(planned.precision)
    made = quantize(onnx.load(path), planned, planned.adapted(path))
    io_params = {}
    if planned.io != FLOAT:
        io_params = quantize_io(made, planned.quantized, planned.activations)
    graph = made.graph
    names = {name for node in graph.node for name in node.output}
    names |= {value.name for value in graph.input}
    return Quantized(
        bytes(made.SerializeToString(deterministic=True)),
        {f"to_{planned.precision}": _changes(graph, planned), **planned.passes},
        {s: _shown(n, names, s in planned.exact) for s, n in known.stages.items()},
        precision.minimum_runtimes.get("onnx", known.minimum_runtime),
        io_params,
    )


def _changes(graph: Any, planned: QuantPlan) -> int:
    """How many tensors have become integers, or pass between them and floats."""
    if find_precision(planned.precision).weights_only:
        return sum(tensor.name.endswith(INTEGERS) for tensor in graph.initializer)
    return sum(node.op_type in (*PAIRS, "DynamicQuantizeLinear") for node in graph.node)


def _shown(tensor: str | None, names: set[str], exact: bool) -> str | None:
    """The stage as later operators see it: rounded, unless it is ``exact``."""
    rounded = f"{tensor}{DEQUANTIZED}"
    if rounded in names and not exact:
        return rounded
    return tensor if tensor in names else None


if __name__ == "__main__":
    run_quantizer(perform, sys.argv[1:])
