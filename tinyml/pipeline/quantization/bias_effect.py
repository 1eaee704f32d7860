"""What correcting biases would do to a file of integers: its float32 file with rounded weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tinyml.core.files import write_bytes
from tinyml.core.quant_params import QuantParams, dequantize_arrays, quantize_arrays
from tinyml.core.spec import Array, Arrays
from tinyml.export.formats.bias_editor import with_rounded_weights
from tinyml.export.formats.onnx.quantized_io import DEQUANTIZED
from tinyml.export.quantization.findings.evidence import Bias
from tinyml.export.quantization.joins import PROBABILITIES
from tinyml.export.quantization.plan import QuantPlan
from tinyml.export.quantization.precision import find_precision
from tinyml.modelfile.read import read_graph
from tinyml.pipeline.formats import runtime_for
from tinyml.pipeline.quantization.bias_shift import bias_shifts, editor_of


def bias_effect(
    floats: Path,
    integers: Path,
    planned: QuantPlan,
    samples: Sequence[Arrays],
    io_params: Mapping[str, QuantParams],
) -> Bias | None:
    """Of the file ``integers``, made from ``floats``; ``io_params``: what of it is integers.

    Judged before the last softmax or sigmoid. ``None`` where biases are corrected already,
    where they cannot be, and without layers or samples.
    """
    if find_precision(planned.precision).fixed_biases or planned.bias_shifts or not samples:
        return None
    found = bias_shifts(floats, planned.weight_scales, samples)
    shifts = {name: own for name, own in found.items() if name not in planned.kept}
    if not shifts:
        return None
    names = answers(floats)
    want = _values(floats, names, samples)
    errors = [_values(integers, _shown(integers, names), samples, io_params) - want]
    for is_corrected in (False, True):
        data = with_rounded_weights(
            editor_of(floats),
            floats.read_bytes(),
            planned.weight_scales,
            shifts,
            corrected=is_corrected,
        )
        tried = floats.with_name(f"rounded{floats.suffix}")
        write_bytes(tried, data)
        errors.append(_values(tried, names, samples) - want)
    error, weights, corrected = map(_power, errors)
    return Bias(_power(want), error, weights, corrected, shifts)


def _power(values: Array) -> float:
    return float(np.mean(values.astype(np.float64) ** 2))


def answers(path: Path) -> list[str]:
    """What the float32 file at ``path`` gives, before it is made probabilities."""
    graph = read_graph(path, infer_shapes=False)
    read = {own.outputs[0]: own.inputs[0] for own in graph.operators if own.op in PROBABILITIES}
    return list(dict.fromkeys(read.get(name, name) for name in graph.outputs))


def _values(
    path: Path,
    names: Sequence[str],
    samples: Sequence[Arrays],
    io_params: Mapping[str, QuantParams] | None = None,
) -> Array:
    """All of the tensors ``names`` on all ``samples``, in a row."""
    runtime = runtime_for(path)
    read = runtime.reader(path, names)
    rows = []
    for sample in samples:
        got = read(quantize_arrays(sample, io_params or {}))
        whole = {name: own for name, own in got.items() if own.dtype.kind in "iu"}
        got = {**got, **dequantize_arrays(whole, io_params or {})}
        rows += [got[name].ravel() for name in names]
    return np.concatenate(rows)


def _shown(path: Path, names: Sequence[str]) -> list[str]:
    """Where the file of integers holds the real numbers of ``names``."""
    inside = {tensor.name for tensor in read_graph(path).tensors.values()}
    return [f"{name}{DEQUANTIZED}" if f"{name}{DEQUANTIZED}" in inside else name for name in names]
