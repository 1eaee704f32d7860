"""The float32 files of a network on images, a plan for them, and the integers that it makes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir
from sparse_networks import SIGNATURE, converted, image
from torch import nn

from tinyml.core.plan_record import NO_RANGES
from tinyml.core.spec import Array, Arrays
from tinyml.export.capture.program import capture
from tinyml.export.formats.onnx import quantize as quantize_onnx
from tinyml.export.formats.onnx.rewrites import rewrite as rewrite_onnx
from tinyml.export.formats.onnx.write import to_onnx
from tinyml.export.formats.tflite import quantize as quantize_tflite
from tinyml.export.formats.tflite import rewrites
from tinyml.export.quantization.calibration import choose_ranges
from tinyml.export.quantization.infinity import endless_masks, endless_pads
from tinyml.export.quantization.keep_float import kept_operators
from tinyml.export.quantization.plan import QuantPlan, plan_tensors, plan_weights
from tinyml.export.quantization.precision import find_precision
from tinyml.export.rewrites import rewrite
from tinyml.modelfile import tflite_file
from tinyml.modelfile.graph import Graph
from tinyml.modelfile.read import read_graph
from tinyml.runtimes.litert import LITERT
from tinyml.runtimes.ort import ONNXRUNTIME

# SQNR in dB of the outputs of a quantized file against those of its float32 file, at least.
LEAST_DB = {"w8a8-static": 25.0, "qat-w8a8": 25.0, "w8-dynamic": 25.0, "w8a16": 35.0, "w8": 35.0}


def write_floats(network: nn.Module, folder: Path) -> dict[str, Path]:
    """Both float32 files of ``network``, dense."""
    model = tflite_file.unpack(converted(network))
    rewrites.rewrite(model, sparse=False)
    (folder / "n.tflite").write_bytes(tflite_file.pack(model))
    return {"onnx": write_onnx(network, folder), "tflite": folder / "n.tflite"}


def write_onnx(network: nn.Module, folder: Path) -> Path:
    """The float32 .onnx of ``network`` alone."""
    graph = to_onnx(rewrite(capture(network, SIGNATURE, ("first",)))[0])
    rewrite_onnx(graph)
    onnx.save(onnx_ir.to_proto(graph), folder / "n.onnx")
    return folder / "n.onnx"


def graph_of(path: Path) -> Graph:
    """The operators of a file."""
    return read_graph(path, infer_shapes=False)


def runtime(path: Path) -> Any:
    """What reads a file."""
    return LITERT if path.suffix == ".tflite" else ONNXRUNTIME


def planned(
    path: Path,
    precision: str,
    kept: dict[str, str] | None = None,
    given: Callable[[int], Arrays] = lambda seed: {"image": image(seed)},
) -> QuantPlan:
    """By min and max of eight seeded images, or what is ``given``; for weights alone of none."""
    graph = graph_of(path)
    names = [n for operator in graph.operators for n in (*operator.inputs, *operator.outputs)]
    read = runtime(path).reader(path, list(dict.fromkeys(names)))

    def values() -> Iterator[dict[str, Array]]:
        yield from (read(given(seed)) for seed in range(8))

    asked = find_precision(precision)
    kept = kept_operators(graph, {}, {}, None, {}, precision=asked) if kept is None else kept
    if find_precision(precision).weights_only:
        weights = plan_weights(graph.operators, kept)
        return QuantPlan(precision, path.suffix[1:], NO_RANGES, 0, "none", weights, kept)
    found = choose_ranges("min-max", values(), values(), endless_pads(graph) | endless_masks(graph))
    scheme = find_precision(precision).activations
    tensors = plan_tensors(graph.operators, found, kept, scheme=scheme)
    return QuantPlan(precision, path.suffix[1:], "min-max", 8, "noise", tensors, kept)


def quantized(path: Path, plan: QuantPlan) -> bytes:
    """The file that the plan makes."""
    if path.suffix == ".tflite":
        model = quantize_tflite.quantize(
            tflite_file.unpack(path.read_bytes()), plan, plan.adapted(path)
        )
        rewrites.rewrite(model)
        return tflite_file.pack(model)
    made = quantize_onnx.quantize(onnx.load(path), plan, plan.adapted(path))
    return bytes(made.SerializeToString(deterministic=True))


def mean_square_error(path: Path, out: Path) -> float:
    """Of the logits, on images that nothing was chosen on, whatever a processor saturates."""
    before, after = (runtime(own).reader(own, ["logits"]) for own in (path, out))
    given = [{"image": image(seed)} for seed in range(100, 116)]
    errors = [after(own)["logits"] - before(own)["logits"] for own in given]
    return float(np.mean(np.square(errors)))
