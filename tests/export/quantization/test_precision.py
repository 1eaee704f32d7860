"""A precision is one file and one row in the registry: nothing else has to know it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from quantized_files import planned, quantized, runtime, write_floats
from sparse_networks import image, pointwise

from tinyml.core import registry
from tinyml.core.bundle import ModelFile
from tinyml.core.errors import UsageError
from tinyml.core.export_job import ExportJob
from tinyml.core.export_settings import ExportSettings
from tinyml.core.plan_record import Float16Record
from tinyml.core.settings import complete
from tinyml.core.tolerance import POLICIES
from tinyml.export.quantization.precision import Precision, all_precisions, find_precision
from tinyml.export.quantization.precisions.w8a8_static import W8A8_STATIC
from tinyml.pipeline.outputs.engines import Engine
from tinyml.pipeline.steps.export_plan import _check_rounding
from tinyml.pipeline.steps.float_share import _is_quantized

# ai-edge-quantizer opens a file like this itself.
pytestmark = pytest.mark.filterwarnings("ignore:.*experimental_preserve_all_tensors:UserWarning")
# As w8a8-static, but for symmetric activations, which neither format has under another name.
SYMMETRIC = replace(
    W8A8_STATIC,
    name="w8a8-symmetric",
    quantizers={
        "onnx": {"symmetric_activations": True},
        "tflite": {
            **W8A8_STATIC.quantizers["tflite"],
            "activation_tensor_config": {
                **W8A8_STATIC.quantizers["tflite"]["activation_tensor_config"],
                "symmetric": True,
            },
        },
    },
    float_io="a test needs no inputs of int8",
    fixed_biases="a test corrects none",
    notes={"onnx": "thrown away"},
)


@pytest.fixture
def symmetric(monkeypatch: pytest.MonkeyPatch) -> Precision:
    """`SYMMETRIC`, registered as long as a test lasts."""
    monkeypatch.setitem(registry.PRECISIONS, SYMMETRIC.name, f"{__name__}:SYMMETRIC")
    return SYMMETRIC


def test_a_throw_away_precision_is_known_everywhere(symmetric: Precision) -> None:
    assert find_precision(symmetric.name) is symmetric
    assert symmetric in all_precisions()
    file = ModelFile("n.onnx", "", "onnx", symmetric.name, {}, {}, {}, "")
    engine = Engine(file, Path("n.onnx"), None)
    assert engine.policy == "int8"
    assert not engine.judges("random", ["random", "real"])
    assert _is_quantized(symmetric.name)
    chosen = ExportSettings(correct_bias=True)
    asked = ExportJob("net", "rpi", Path("out"), settings=chosen)
    with pytest.raises(UsageError, match="a test corrects none"):
        _check_rounding(asked, complete(chosen), symmetric)


def test_the_plan_of_a_float16_file_names_generated_cases_that_do_not_judge() -> None:
    plan = Float16Record("fp16", "onnx", not_judged=("tiny", "sample"))
    file = ModelFile("n.onnx", "", "onnx", "fp16", {}, {}, {}, "", plan=plan)
    engine, cases = Engine(file, Path("n.onnx"), None), ["sample", "random", "tiny"]
    assert [engine.judges(case, cases) for case in cases] == [True, True, False]


def test_both_formats_are_quantized_in_a_throw_away_precision(
    symmetric: Precision, tmp_path: Path
) -> None:
    for fmt, path in write_floats(pointwise(channels=16, kept=1.0), tmp_path).items():
        out = tmp_path / f"symmetric.{fmt}"
        out.write_bytes(quantized(path, planned(path, symmetric.name)))
        read = [runtime(own).reader(own, ["logits"]) for own in (path, out)]
        want, got = (own({"image": image(0)})["logits"] for own in read)
        assert not np.array_equal(want, got)
        assert POLICIES[symmetric.policy].accepts(got, want)


@pytest.mark.parametrize("precision", all_precisions(), ids=lambda own: own.name)
def test_traits_do_not_contradict_each_other(precision: Precision) -> None:
    assert precision.calibrated or precision.fixed_biases
    assert not (precision.calibrated and precision.weights_only)
    assert not precision.half or not precision.quantized
    assert set(precision.formats) >= set(precision.notes) | set(precision.minimum_runtimes)
    assert ("int8" in precision.io) == (precision.activations == "int8" and precision.calibrated)


def test_the_target_decides_the_type_of_activations_and_quantized_io_overrides_it() -> None:
    static, wide, each_call = map(find_precision, ("w8a8-static", "w8a16", "w8-dynamic"))
    assert static.activations_in("onnx", "float", x86=True) == "uint8"
    assert static.activations_in("onnx", "float", x86=False) == "int8"
    assert static.activations_in("onnx", "int8", x86=True) == "int8"
    assert static.activations_in("onnx", "uint8", x86=False) == "uint8"
    assert static.activations_in("tflite", "float", x86=True) == "int8"
    assert {wide.activations_in(fmt, "float", x86=True) for fmt in wide.formats} == {"int16"}
    assert each_call.activations_in("onnx", "float", x86=True) == "int8"
    assert static.io == ("float", "int8", "uint8")
    assert (wide.io, each_call.io) == (("float",), ("float",))
