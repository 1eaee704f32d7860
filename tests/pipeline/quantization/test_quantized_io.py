"""``--io int8`` from a module to a bundle: integers in and out, real numbers for users."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import quantized_user
from quantized_user import silent, write_user
from shared_folder import shared_folder
from short_timing import short

from tinyml import board_scripts
from tinyml.core import bundle as bundles
from tinyml.core.bundle import Bundle
from tinyml.core.errors import UsageError
from tinyml.core.export_job import ExportJob
from tinyml.core.export_settings import ExportSettings
from tinyml.core.image_processor import ImageProcessor
from tinyml.core.quant_params import QuantParams
from tinyml.core.settings import complete
from tinyml.core.spec import Signature, StatePair, TensorSpec
from tinyml.core.tolerance import sqnr_db
from tinyml.core.typed_json import to_json
from tinyml.export.quantization.integer_kernels import NO_KERNEL
from tinyml.pipeline.bench import bench
from tinyml.pipeline.export import export
from tinyml.pipeline.model_sources.source import ExportedModel
from tinyml.pipeline.outputs import reference
from tinyml.pipeline.outputs.engines import engines
from tinyml.pipeline.outputs.predict_images import predict_images
from tinyml.pipeline.predict import windows_through
from tinyml.pipeline.quantization.write_quantized import check_io
from tinyml.pipeline.verify import verify
from tinyml.runtimes.litert import LITERT
from tinyml.runtimes.ort import ONNXRUNTIME


def job(folder: Path, **asked: Any) -> ExportJob:
    """An export of the network in ``folder``, integers in and out."""
    return quantized_user.job(folder, **{"io": "int8", **asked})


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network, its sample, its calibration data and its bundle in ``out``."""

    def make(folder: Path) -> None:
        write_user(folder)
        made = export(job(folder), silent)
        assert bundles.read(made.folder).models == made.models

    return shared_folder(tmp_path_factory, "quantized_io", make)


@pytest.fixture(scope="module")
def made(user: Path) -> Bundle:
    """Its bundle."""
    return bundles.read(user / "out")


def test_files_take_and_give_integers_whose_meaning_is_in_the_manifest(made: Bundle) -> None:
    for model, runtime in zip(made.models, (ONNXRUNTIME, LITERT), strict=True):
        signature = runtime.open(made.file(model)).signature
        (taken,), (given,) = signature.inputs, signature.outputs
        assert (taken.dtype, given.dtype) == ("int8", "int8")
        assert set(model.quant_params) == {taken.name, given.name}
        # 256 levels over what the calibration data spans, about four times its deviation.
        assert 6 < model.quant_params[taken.name].scale * 255 < 12
        assert model.quant_params[given.name].zero_point == -128
        assert 1 / 256 <= model.quant_params[given.name].scale <= 1 / 254.9
        assert set(model.plan.kept.values()) <= {NO_KERNEL}
        assert model.plan.io == "int8"
    assert {spec.dtype for spec in made.signature.inputs} == {"float32"}


def test_the_softmax_of_integers_is_not_delegated_and_the_bundle_says_so(made: Bundle) -> None:
    taken = made.facts.delegation["build-w8a8-static.tflite"]
    (left,) = taken["undelegated"]
    assert (left["op"], taken["nodes"] - taken["delegated"]) == ("SOFTMAX", 1)
    assert "omit `io=int8`" in left["fix"]
    rules = [found.cost for found in made.facts.lint["build-w8a8-static.tflite"]]
    assert any("SOFTMAX of int8" in cost for cost in rules)


def test_the_files_themselves_say_what_their_integers_stand_for(made: Bundle) -> None:
    import onnx

    onnx_model, tflite_model = made.models
    (detail,) = LITERT.open(made.file(tflite_model)).engine.get_input_details()
    (end,) = [tflite_model.quant_params[spec.name] for spec in made.signature.inputs]
    assert detail["quantization"] == pytest.approx((end.scale, end.zero_point))
    graph = onnx.load(made.file(onnx_model)).graph
    told = {own.tensor_name: own for own in graph.quantization_annotation}
    assert set(told) == set(onnx_model.quant_params)
    constants = {own.name: onnx.numpy_helper.to_array(own) for own in graph.initializer}
    for name, end in onnx_model.quant_params.items():
        scale, zero = (constants[e.value] for e in told[name].quant_parameter_tensor_names)
        assert (float(scale), int(zero)) == (end.scale, end.zero_point)


def test_parity_is_judged_on_the_real_numbers_that_the_integers_stand_for(made: Bundle) -> None:
    rows = [row for row in made.parity.stages if row.case == "sample"]
    assert {row.verdict for row in rows} <= {"pass", "fused away"}
    (output,) = made.signature.outputs
    mine = [row for row in rows if row.stage == output.name and row.policy == "int8"]
    assert {row.engine for row in mine} == {"onnxruntime+fusion", "litert+xnnpack"}
    assert all(row.sqnr_db is not None and row.sqnr_db > 30 for row in mine)
    assert verify(made.folder, silent).parity.passed


def test_wrong_integers_do_not_pass(made: Bundle) -> None:
    """The scale counts: with another one the answers are not PyTorch's."""
    known = reference.load(made.folder / bundles.REFERENCE)
    want, inputs = known.outputs["sample"], known.inputs["sample"]
    for engine in engines(made.folder, made.models):
        (name,) = want
        good = engine.open().run(inputs)[name]
        ends = {
            n: replace(own, scale=2 * own.scale) for n, own in engine.model.quant_params.items()
        }
        bad = (
            replace(engine, model=replace(engine.model, quant_params=ends)).open().run(inputs)[name]
        )
        noise = [sqnr_db(value, want[name]) for value in (good, bad)]
        assert noise[0] is not None
        assert noise[1] is not None
        assert noise[0] > 30 > 10 > noise[1]


def test_run_py_takes_and_gives_real_numbers(made: Bundle, user: Path) -> None:
    command = [sys.executable, str(made.folder / "run.py"), str(user / "s.npz")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    (output,) = made.signature.outputs
    known = reference.load(made.folder / bundles.REFERENCE)
    engine = next(e for e in engines(made.folder, made.models) if e.name == "litert")
    want = engine.open().run(known.inputs["sample"])[output.name]
    assert json.loads(done.stdout)["outputs"][output.name] == want.tolist()


def test_images_too_are_given_as_real_numbers(made: Bundle, tmp_path: Path) -> None:
    processor = ImageProcessor(("a", "b", "c", "d", "e"), 16, (0.5, 0.4, 0.3), (0.2, 0.2, 0.1))
    manifest = {**made.manifest(), "processor": to_json(processor)}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    shutil.copy(board_scripts.RUN, tmp_path)
    engine = next(e for e in engines(made.folder, made.models) if e.name == "litert")
    shutil.copy(engine.path, tmp_path)
    pixels = np.random.default_rng(1).integers(0, 256, (16, 16, 3), np.uint8)
    np.save(tmp_path / "i.npy", pixels)
    command = [sys.executable, str(tmp_path / "run.py"), str(tmp_path / "i.npy")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    (want,) = predict_images([tmp_path / "i.npy"], processor, windows_through(engine))
    assert json.loads(done.stdout) == to_json(want)


def test_a_benchmark_hands_integers_over(made: Bundle, tmp_path: Path) -> None:
    found = bench(made.folder, timing=short(1, 2), out=tmp_path / "b.json", report=silent)
    timed = {m.runtime for m in found.measurements}
    assert timed - {"openvino"} == {"litert", "onnxruntime"}


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"precision": "fp32"}, "fp32 is not quantized"),
        ({"precision": "fp16"}, "fp16 is not quantized to integers"),
        ({"precision": "w8-dynamic"}, "finds its ranges at each call"),
        ({"precision": "w8a16"}, "have 16 bits"),
        ({"io": "uint8"}, "`io=uint8`: .tflite files take and give int8"),
        ({"io": "int4"}, "unknown value 'int4' of `io`"),
    ],
)
def test_integers_that_cannot_be_are_refused_before_any_work(
    user: Path, tmp_path: Path, asked: dict[str, Any], said: str
) -> None:
    asked = {"calibration": None, "out": tmp_path / "none", **asked}
    with pytest.raises(UsageError, match=said):
        export(job(user, **asked), silent)


def test_a_stage_kept_in_float_at_an_end_is_refused_by_name(user: Path, tmp_path: Path) -> None:
    asked = {"keep_float": ("entry",), "formats": ("onnx",), "out": tmp_path / "none"}
    with pytest.raises(UsageError, match=r"'image' stays in float32, next to it Conv .*asked for"):
        export(job(user, **asked), silent)
    assert not (tmp_path / "none").exists()


SETTINGS = complete(ExportSettings(precision="w8a8-static"))
SETTINGS_INT8 = replace(SETTINGS, io="int8")


def exported(signature: Signature, front_end: str | None = None) -> ExportedModel:
    """A captured model."""
    return ExportedModel("funnelnet", signature, ("a",), None, (), {}, front_end)


def test_a_float_front_end_takes_its_input_as_it_is() -> None:
    asked = SETTINGS_INT8
    plain = Signature((TensorSpec("x", (4,)),), (TensorSpec("y", (4,)),))
    check_io(asked, exported(plain))
    with pytest.raises(
        UsageError, match="front end of funnelnet stays in float32, up to 'level'"
    ) as caught:
        check_io(asked, exported(plain, "level"))
    assert "`front_end=int8`" in caught.value.hint
    check_io(replace(asked, front_end="int8"), exported(plain, "level"))
    check_io(replace(asked, io="float"), exported(plain, "level"))


def test_what_has_no_front_end_is_told_so_before_it_is_rounded() -> None:
    asked = replace(SETTINGS, front_end="int8")
    plain = Signature((TensorSpec("x", (4,)),), (TensorSpec("y", (4,)),))
    check_io(asked, exported(plain, "level"))
    with pytest.raises(UsageError, match="`front_end=int8`: funnelnet has no front end"):
        check_io(asked, exported(plain))


def test_a_state_is_not_rounded_at_each_call() -> None:
    state = Signature((TensorSpec("x", (4,)),), (TensorSpec("y", (4,)),), (StatePair("x", "y"),))
    with pytest.raises(UsageError, match="the state of funnelnet would be rounded"):
        check_io(SETTINGS_INT8, exported(state))


def test_integers_are_the_nearest_and_cut_off_at_their_ends() -> None:
    own = QuantParams("int8", 0.5, 10)
    taken = own.of(np.array([0.0, 0.25, 0.75, -100.0, 100.0, 1.2], np.float32))
    assert taken.tolist() == [10, 10, 12, -128, 127, 12]
    assert own.real(taken).tolist() == [0.0, 0.0, 1.0, -69.0, 58.5, 1.0]
