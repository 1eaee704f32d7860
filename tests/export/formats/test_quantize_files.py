"""Both quantizers on the files of a small network: integers, ranges, zeros, repeatable bytes."""

from __future__ import annotations

import copy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from quantized_files import (
    LEAST_DB,
    graph_of,
    planned,
    quantized,
    runtime,
    write_floats,
)
from sparse_networks import answers, converted, image, pointwise
from stored_bytes import read_model, unread_bytes

from tinyml.core.errors import InputError
from tinyml.core.tolerance import sqnr_db
from tinyml.core.versions import version_of
from tinyml.export.facts import Facts
from tinyml.export.formats.onnx import quantize as quantize_onnx
from tinyml.export.formats.tflite import quantize as quantize_tflite
from tinyml.export.formats.tflite import rewrites
from tinyml.export.quantization.keep_float import kept_operators
from tinyml.export.quantization.plan import QuantPlan
from tinyml.export.quantization.precision import all_precisions
from tinyml.export.quantization.precisions.w8a8_static import W8A8_STATIC
from tinyml.modelfile import sparse_storage, tflite_file
from tinyml.modelfile.summary import summarize
from tinyml.pipeline.outputs.real_session import RealSession
from tinyml.runtimes.litert import LITERT
from tinyml.runtimes.ort import ONNXRUNTIME
from tinyml.runtimes.ov import OPENVINO

QUANTIZED = [own.name for own in all_precisions() if own.quantized]
# ai-edge-quantizer opens a file like this itself.
pytestmark = pytest.mark.filterwarnings("ignore:.*experimental_preserve_all_tensors:UserWarning")


@pytest.fixture(scope="module")
def floats(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The float32 files, 30% of their weights left: too many to store sparse in float32."""
    return write_floats(pointwise(kept=0.3), tmp_path_factory.mktemp("floats"))


@pytest.fixture(scope="module")
def pruned(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The float32 files, dense, with a tenth of their weights left."""
    return write_floats(pointwise(kept=0.1), tmp_path_factory.mktemp("pruned"))


@pytest.mark.parametrize("precision", QUANTIZED)
@pytest.mark.parametrize("fmt", ["onnx", "tflite"])
def test_a_quantized_file_answers_nearly_as_before_and_repeats_byte_for_byte(
    floats: dict[str, Path], tmp_path: Path, fmt: str, precision: str
) -> None:
    path, out = floats[fmt], tmp_path / f"q.{fmt}"
    plan = planned(path, precision)
    data = quantized(path, plan)
    assert quantized(path, plan) == data
    assert len(data) < 0.5 * path.stat().st_size
    out.write_bytes(data)
    want = runtime(path).open(path).run({"image": image(3)})["logits"]
    got = runtime(out).open(out).run({"image": image(3)})["logits"]
    assert got.dtype == np.float32
    noise = sqnr_db(got, want)
    assert noise is not None
    assert LEAST_DB[precision] < noise < 100.0


def test_unsigned_activations_give_the_same_outputs_to_the_bit(
    floats: dict[str, Path], tmp_path: Path
) -> None:
    """The steps are the same, counted from another zero point; weights stay signed."""
    path, outs = floats["onnx"], [tmp_path / "int8.onnx", tmp_path / "uint8.onnx"]
    signed = planned(path, "w8a8-static")
    unsigned = as_unsigned(signed)
    assert (signed.activations, unsigned.activations) == ("int8", "uint8")
    for out, plan in zip(outs, (signed, unsigned), strict=True):
        out.write_bytes(quantized(path, plan))
    types = [_types(out) for out in outs]
    assert types == [{"int8", "int32"}, {"uint8", "int8", "int32"}]
    asked = [{"image": image(seed)} for seed in range(4)]
    want, got = ([ONNXRUNTIME.open(out).run(x)["logits"] for x in asked] for out in outs)
    assert np.array_equal(want, got)


@pytest.mark.skipif(version_of("openvino") is None, reason="openvino is not installed")
def test_openvino_computes_unsigned_activations_in_int8(
    floats: dict[str, Path], tmp_path: Path
) -> None:
    path, out = floats["onnx"], tmp_path / "uint8.onnx"
    out.write_bytes(quantized(path, as_unsigned(planned(path, "w8a8-static"))))
    session, reference = OPENVINO.open(out), ONNXRUNTIME.open(out)
    assert session.precision.startswith("int8")
    noise = sqnr_db(
        session.run({"image": image(3)})["logits"], reference.run({"image": image(3)})["logits"]
    )
    assert noise is None or noise > LEAST_DB["w8a8-static"]


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_inputs_and_outputs_are_of_the_type_of_the_activations(
    floats: dict[str, Path], tmp_path: Path, dtype: str
) -> None:
    path, out = floats["onnx"], tmp_path / "q.onnx"
    plan = planned(path, "w8a8-static")
    plan = replace(as_unsigned(plan) if dtype == "uint8" else plan, io=dtype)
    made = quantize_onnx.perform(path, plan, Facts("onnx", "fp32", {}, {}, {}, ""), True)
    out.write_bytes(made.data)
    session = ONNXRUNTIME.open(out)
    assert {spec.dtype for spec in session.signature.inputs} == {dtype}
    assert {own.dtype for own in made.quant_params.values()} == {dtype}
    want = ONNXRUNTIME.open(path).run({"image": image(3)})["logits"]
    got = RealSession(session, made.quant_params).run({"image": image(3)})["logits"]
    noise = sqnr_db(got, want)
    assert noise is not None
    assert noise > LEAST_DB["w8a8-static"]


def as_unsigned(plan: QuantPlan) -> QuantPlan:
    """As on x86."""
    tensors = {
        name: replace(own, scheme="uint8" if own.scheme == "int8" else own.scheme)
        for name, own in plan.tensors.items()
    }
    return replace(plan, tensors=tensors)


def _types(path: Path) -> set[str]:
    """Of the integers of a file."""
    stored = (onnx.numpy_helper.to_array(own) for own in onnx.load(path).graph.initializer)
    return {own.dtype.name for own in stored if own.dtype.kind in "iu" and own.dtype.itemsize < 8}


def test_ranges_are_those_of_the_plan(floats: dict[str, Path], tmp_path: Path) -> None:
    for fmt, path in floats.items():
        plan = planned(path, "w8a8-static")
        out = tmp_path / f"q.{fmt}"
        out.write_bytes(quantized(path, plan))
        within = plan.tensors["image" if fmt == "onnx" else "serving_default_image"]
        step = (within.high - within.low) / 255
        assert step == pytest.approx(_input_scale(out), rel=1e-5)


def _input_scale(path: Path) -> float:
    if path.suffix == ".onnx":
        model = onnx.load(path)
        node = next(n for n in model.graph.node if "image" in n.input)
        scale = next(t for t in model.graph.initializer if t.name == node.input[1])
        return float(onnx.numpy_helper.to_array(scale))
    graph = tflite_file.unpack(path.read_bytes()).subgraphs[0]
    made = next(o for o in graph.operators if int(o.inputs[0]) == int(graph.inputs[0]))
    return float(graph.tensors[int(made.outputs[0])].quantization.scale[0])


def test_pruned_zeros_stay_zeros_and_only_convolutions_are_stored_sparse(
    floats: dict[str, Path], tmp_path: Path
) -> None:
    network = pointwise(kept=0.1)
    model = tflite_file.unpack(converted(network))
    rewrites.rewrite(model, sparse=False)
    path = tmp_path / "d.tflite"
    path.write_bytes(tflite_file.pack(model))
    plan = planned(path, "w8a8-static")
    dense = quantize_tflite.quantize(tflite_file.unpack(path.read_bytes()), plan)
    rewrites.rewrite(dense, sparse=False)
    data = quantized(path, plan)
    made = tflite_file.unpack(data)
    found = list(sparse_storage.sparse_tensors(made))
    assert len(found) == 2
    for tensor, layer in zip(found, ("second", "first"), strict=True):
        weight = network.get_parameter(f"{layer}.weight").detach().numpy()
        stored = sparse_storage.dense(path, made, tensor)
        assert np.all(stored[weight.transpose(0, 2, 3, 1) == 0] == 0)
        assert np.count_nonzero(stored) > 0.9 * np.count_nonzero(weight)
    before, after = answers(tflite_file.pack(dense)), answers(data)
    np.testing.assert_array_equal(after.plain, before.plain)
    np.testing.assert_array_equal(after.delegated, before.delegated)
    assert len(data) < 0.9 * len(tflite_file.pack(dense))


def test_what_is_kept_stays_in_float(floats: dict[str, Path]) -> None:
    path = floats["tflite"]
    kept = {graph_of(path).operators[-1].name: "asked for"}
    model = tflite_file.unpack(quantized(path, planned(path, "w8a8-static", kept)))
    graph, float32 = model.subgraphs[0], 0
    names = {
        tflite_file.operator_name(model.operatorCodes[o.opcodeIndex]): o for o in graph.operators
    }
    assert graph.tensors[int(names["FULLY_CONNECTED"].inputs[1])].type == float32
    assert graph.tensors[int(names["CONV_2D"].inputs[1])].type != float32
    path = floats["onnx"]
    kept = {graph_of(path).operators[-1].name: "asked for"}
    made = onnx.load_from_string(quantized(path, planned(path, "w8a8-static", kept)))
    last = next(node for node in made.graph.node if "logits" in node.output)
    assert last.op_type == "Gemm"
    assert last.input[1] in {tensor.name for tensor in made.graph.initializer}


LOAD = (
    "import sys; from ai_edge_litert.interpreter import Interpreter; "
    "Interpreter(model_path=sys.argv[1]).allocate_tensors()"
)


@pytest.mark.parametrize("precision", ["w8a8-static", "w8-dynamic"])
def test_litert_still_refuses_the_sparse_integers_that_are_never_written(
    floats: dict[str, Path], tmp_path: Path, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When this fails, LiteRT has learned it, and `store_sparse` may store more."""
    import importlib

    module = importlib.import_module("tinyml.export.formats.tflite.rewrites.store_sparse")
    network = pointwise(kept=0.1)
    path = tmp_path / "d.tflite"
    model = tflite_file.unpack(converted(network))
    rewrites.rewrite(model, sparse=False)
    path.write_bytes(tflite_file.pack(model))
    monkeypatch.setattr(module, "_int8", lambda: -1)  # takes every integer weight for a float
    path.write_bytes(quantized(path, planned(path, precision)))
    ran = subprocess.run([sys.executable, "-c", LOAD, path], capture_output=True, text=True)
    assert ran.returncode != 0
    assert "prepare" in ran.stderr


@pytest.mark.parametrize(
    ("precision", "scales"),
    [("w8a8-static", "per-channel"), ("w8a8-static", "per-tensor"), ("w8a16", "per-channel")],
)
@pytest.mark.parametrize("bias", [1.5, 0.004])
@pytest.mark.parametrize("fmt", ["onnx", "tflite"])
def test_a_channel_without_weights_keeps_its_bias(
    tmp_path: Path, fmt: str, bias: float, precision: str, scales: str
) -> None:
    network = pointwise(kept=0.5)
    with torch.no_grad():
        for name, layer in (("second", 7), ("first", 3), ("classes", 5)):
            network.get_parameter(f"{name}.weight")[layer] = 0.0
            network.get_parameter(f"{name}.bias")[layer] = bias
    path = write_floats(network, tmp_path)[fmt]
    out = tmp_path / f"q.{fmt}"
    plan = replace(planned(path, precision), weight_scales=scales)
    out.write_bytes(quantized(path, plan))
    got = runtime(out).open(out).run({"image": image(3)})["logits"]
    assert got[0, 5] == pytest.approx(bias, abs=0.03 if precision == "w8a8-static" else 1e-3)
    if fmt == "onnx":
        assert stored_biases(out) == pytest.approx(stored_biases(path), abs=1e-4)
    want = runtime(path).open(path).run({"image": image(3)})["logits"]
    noise = sqnr_db(got, want)
    assert noise is not None
    assert noise > LEAST_DB[precision]


def test_a_channel_that_never_answers_may_have_weights_without_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a normalization saw nothing vary; XNNPACK refuses steps that are too unlike."""
    network = pointwise(kept=1.0)
    with torch.no_grad():
        # The activation between the two holds this channel at zero.
        network.get_parameter("first.weight")[7] = -1e-3
        network.get_parameter("first.bias")[7] = -1.0
        network.get_parameter("second.weight")[3, 7] = 1e6
    path, out = write_floats(network, tmp_path)["tflite"], tmp_path / "q.tflite"
    plan = planned(path, "w8a8-static")
    out.write_bytes(quantized(path, plan))
    got = LITERT.open(out).run({"image": image(3)})["logits"]
    want = LITERT.open(path).run({"image": image(3)})["logits"]
    noise = sqnr_db(got, want)
    assert noise is not None
    assert noise > 15.0
    monkeypatch.setattr(quantize_tflite, "output_ranges", lambda *given: {})
    out.write_bytes(quantized(path, plan))
    with pytest.raises(InputError, match="failed to create XNNPACK runtime"):
        LITERT.open(out)


def test_sums_of_large_products_do_not_overflow_when_onnxruntime_optimises(
    tmp_path: Path,
) -> None:
    """Its kernels for x86 without VNNI otherwise add two products in 16 bits."""
    network = pointwise(kept=1.0)
    with torch.no_grad():
        for weight in network.parameters():
            weight.abs_()
    path, out = write_floats(network, tmp_path)["onnx"], tmp_path / "q.onnx"
    out.write_bytes(quantized(path, planned(path, "w8a8-static")))
    plain = ONNXRUNTIME.read_tensors(out, ["logits"], {"image": image(3)})["logits"]
    optimised = ONNXRUNTIME.open(out).run({"image": image(3)})["logits"]
    noise = sqnr_db(optimised, plain)
    assert noise is not None
    assert noise > 40.0


@pytest.mark.parametrize("precision", QUANTIZED)
@pytest.mark.parametrize("fmt", ["onnx", "tflite"])
def test_a_file_whose_layers_stay_in_float_stores_nothing_that_is_not_read(
    pruned: dict[str, Path], tmp_path: Path, fmt: str, precision: str
) -> None:
    """Weights with zeros are stored sparse: their dense form must not stay next to that."""
    path = pruned[fmt]
    operators = graph_of(path).operators
    entry = next(own for own in operators if own.weight)
    kept = {own.name: "asked for" for own in operators if own is not entry}
    out = tmp_path / f"q.{fmt}"
    out.write_bytes(quantized(path, planned(path, precision, kept)))
    assert unread_bytes(read_model(out)) == {}
    facts = summarize(out)
    # 16 channels of 8 x 8 pixels, 27 taps each: the entry alone is quantized.
    assert facts.macs is not None
    assert facts.float_macs == facts.macs - 16 * 64 * 27
    if fmt == "tflite":
        model = tflite_file.unpack(path.read_bytes())
        rewrites.rewrite(model)
        assert out.stat().st_size < len(tflite_file.pack(model)) + 4096


def test_a_constant_that_no_node_reads_is_not_written(floats: dict[str, Path]) -> None:
    model, path = onnx.load(floats["onnx"]), floats["onnx"]
    unread = np.ones((64, 64), np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(unread, "unread"))
    for precision in ("w8", "w8a8-static"):
        made = quantize_onnx.quantize(copy.deepcopy(model), planned(path, precision))
        assert unread_bytes(made) == {}


def stored_biases(path: Path) -> list[float]:
    """The bias of every layer of an .onnx, in floats or in integers, one after another."""
    model = onnx.load(path)
    stored = {own.name: onnx.numpy_helper.to_array(own) for own in model.graph.initializer}
    made = {node.output[0]: node for node in model.graph.node}
    found: list[float] = []
    for name in (n.input[2] for n in model.graph.node if n.op_type in ("Conv", "Gemm")):
        if name in stored:
            found += stored[name].tolist()
        else:
            integers, scale = (stored[own] for own in made[name].input[:2])
            found += (integers * scale).tolist()
    return found


def test_a_layer_that_is_kept_stays_in_float_when_onnxruntime_optimises(
    floats: dict[str, Path], tmp_path: Path
) -> None:
    """It would quantize the float weights between two integer layers with one scale of its own."""
    model = onnx.load(floats["onnx"])
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    middle = convolutions[1]
    # One channel has large weights and is cut to zero by its bias: only its scale does harm.
    for name, change in ((middle.input[1], 1000.0), (middle.input[2], -1e6)):
        stored = next(w for w in model.graph.initializer if w.name == name)
        values = onnx.numpy_helper.to_array(stored).copy()
        values[0] = change
        stored.CopyFrom(onnx.numpy_helper.from_array(values, name))
    path, out = tmp_path / "n.onnx", tmp_path / "q.onnx"
    onnx.save(model, path)
    kept = kept_operators(
        graph_of(path),
        {"middle": None},
        {middle.output[0]: "middle"},
        None,
        {"middle": "why"},
        precision=W8A8_STATIC,
    )
    out.write_bytes(quantized(path, planned(path, "w8a8-static", kept)))
    guards = [n for n in onnx.load(out).graph.node if n.op_type == "Max"]
    assert [list(n.output) for n in guards] == [[f"{middle.output[0]}~input"]]
    plain = ONNXRUNTIME.read_tensors(out, ["logits"], {"image": image(3)})["logits"]
    optimised = ONNXRUNTIME.open(out).run({"image": image(3)})["logits"]
    noise = sqnr_db(optimised, plain)
    assert noise is None or noise > 30.0


@pytest.mark.parametrize("precision", QUANTIZED)
def test_each_node_of_quantized_onnx_comes_after_what_it_reads(
    floats: dict[str, Path], precision: str
) -> None:
    """onnxruntime loads a graph in any order; the standard and its other readers do not."""
    nodes = quantize_onnx.quantize(
        onnx.load(floats["onnx"]), planned(floats["onnx"], precision)
    ).graph.node
    makers = {name for node in nodes for name in node.output}
    seen: set[str] = set()
    for node in nodes:
        assert set(node.input) & makers <= seen
        seen.update(node.output)


@pytest.mark.parametrize("precision", QUANTIZED)
def test_macs_are_counted_through_integers(
    floats: dict[str, Path], tmp_path: Path, precision: str
) -> None:
    out = tmp_path / "q.onnx"
    out.write_bytes(quantized(floats["onnx"], planned(floats["onnx"], precision)))
    facts = summarize(out)
    assert facts.macs == summarize(floats["onnx"]).macs
    assert {layer.weight for layer in facts.layers if layer.macs} == {"int8"}
    assert "unknown" not in {layer.activation for layer in facts.layers}
