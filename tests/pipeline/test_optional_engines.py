"""An engine that joins a file's own: it adds rows or a line, and refuses no bundle."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from throwaway_format import MATMUL

from tinyml.core import bundle as bundles
from tinyml.core import registry
from tinyml.core.bundle import ModelFile
from tinyml.core.errors import InputError, MissingExtraError, ValidationError
from tinyml.core.target import System, all_targets, find_target
from tinyml.core.typed_json import to_json
from tinyml.core.versions import version_of
from tinyml.pipeline import formats
from tinyml.pipeline.bench_jobs import jobs_of
from tinyml.pipeline.outputs import optional_engines
from tinyml.pipeline.outputs.engines import choose, installed, joining
from tinyml.pipeline.outputs.optional_engines import compare_optional, join_optional
from tinyml.pipeline.outputs.reference import Reference
from tinyml.pipeline.predict import predict
from tinyml.pipeline.verify import verify

OTHERS = ("agreeing", "refusing", "differing", "crashing", "missing")
STORED = {"weight": np.eye(3, 8, dtype=np.float32), "bias": np.ones(3, np.float32)}
needs_openvino = pytest.mark.skipif(
    version_of("openvino") is None, reason="openvino is not installed"
)


def silent(_: object) -> None:
    """No progress."""


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[ModelFile, ...]:
    """One file in `tmp_path`, and rows for its format, its engine and the others."""
    monkeypatch.setitem(registry.FORMATS, "npz", "throwaway_format:NPZ")
    monkeypatch.setitem(registry.RUNTIMES, "matmul", "throwaway_format:MATMUL")
    for name in OTHERS:
        monkeypatch.setitem(registry.RUNTIMES, name, f"optional_runtimes:{name.upper()}")
    np.savez(tmp_path / "m.npz", **STORED)  # type: ignore[arg-type]
    return (ModelFile("m.npz", "0" * 64, "npz", "fp32", {}, {"y": "output"}, {}, "numpy>=2"),)


@pytest.fixture
def expected(tmp_path: Path, models: tuple[ModelFile, ...]) -> Reference:
    inputs = {"x": np.arange(8, dtype=np.float32)[None]}
    outputs = MATMUL.open(tmp_path / "m.npz").run(inputs)
    return Reference({}, {}, {}).with_case("random", inputs, {"y": outputs["output"]}, outputs)


def test_a_format_has_its_reference_engine_first(models: tuple[ModelFile, ...]) -> None:
    names = [runtime.name for runtime in formats.runtimes_of(formats.named("npz"))]
    assert names == ["matmul", *OTHERS]
    found = [runtime.name for runtime in formats.runtimes_of(formats.named("onnx"))]
    assert found[0] == "onnxruntime"
    assert [r.name for r in formats.runtimes_of(formats.named("tflite"))] == ["litert"]


def test_what_agrees_adds_rows_and_what_does_not_a_finding(
    models: tuple[ModelFile, ...], expected: Reference, tmp_path: Path
) -> None:
    names = OTHERS[:-1]
    rows, findings = join_optional(tmp_path, models, names, expected, ["y"], silent)
    assert [(row.engine, row.stage, row.verdict) for row in rows] == [
        ("agreeing+fusion", "output", "pass")
    ]
    found = {own.node: own for own in findings["m.npz"]}
    assert list(found) == ["refusing", "differing", "crashing"]
    assert {own.fix for own in found.values()} == {"run it in matmul"}
    assert found["refusing"].cost == "refusing refuses it: No suitable implementations"
    assert found["differing"].cost.startswith("differing+fusion differs from PyTorch at stage")
    assert "in the npz file: error 1" in found["differing"].cost
    assert found["crashing"].cost == "crashing was killed by signal 11 (SIGSEGV)"


def test_the_line_of_one_that_agrees_tells_its_precision(
    models: tuple[ModelFile, ...], expected: Reference, tmp_path: Path
) -> None:
    found = optional_engines.optional_engines(tmp_path, models, ["agreeing"])
    (own,) = compare_optional(found, expected, ["y"], silent)
    assert own.line == "m.npz: agreeing 1 gives the same outputs, computed in float32"


def test_only_what_the_target_has_and_is_installed_joins(
    models: tuple[ModelFile, ...], tmp_path: Path
) -> None:
    host = find_target("host")
    runtimes = {"matmul": "1.0", "agreeing": "1.0", "missing": "1.0", "tflite-runtime": "1.0"}
    target = replace(host, systems={"any": System(runtimes)})
    names = joining(target)
    assert names == {"matmul", "agreeing"}
    ready, skipped = installed(tmp_path, models, names)
    assert [(engine.name, engine.optional) for engine in ready] == [
        ("matmul", False),
        ("agreeing", True),
    ]
    assert skipped == ()  # nobody asked for the other


def test_a_benchmark_of_a_file_leaves_out_what_an_optional_engine_refuses(
    models: tuple[ModelFile, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtimes = {"matmul": "1.0", "agreeing": "1.0", "refusing": "1.0"}
    target = replace(find_target("host"), name="own", systems={"any": System(runtimes)})
    monkeypatch.setitem(all_targets(), "own", target)
    found = jobs_of(tmp_path / "m.npz", tmp_path, "own")
    assert [job.runtime for job in found.jobs] == ["matmul", "agreeing"]
    assert found.failed == ()
    (line,) = found.skipped
    assert line.endswith("m.npz: refusing refuses it: No suitable implementations")


def test_of_boards_none_has_openvino() -> None:
    assert [t.name for t in all_targets().values() if "openvino" in t.runtimes] == ["xnnpack"]


def edit(folder: Path, change: Any) -> None:
    path = folder / "manifest.json"
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


@needs_openvino
def test_verify_of_a_bundle_for_the_host_asks_openvino_too(bundle_copy: Path) -> None:
    edit(bundle_copy, lambda data: data.update(target="xnnpack"))
    found = verify(bundle_copy, silent)
    (line,) = found.engines
    assert line.endswith(
        f"openvino {version_of('openvino')} gives the same outputs, computed in float32"
    )
    own = [row for row in found.parity.stages if row.engine == "openvino+fusion"]
    assert {row.verdict for row in own} == {"pass"}
    rows = to_json(own)
    edit(bundle_copy, lambda data: data["parity"]["stages"].extend(rows))
    (line,) = verify(bundle_copy, silent).engines  # as an export with openvino wrote it
    assert line.endswith("computed in float32")
    edit(bundle_copy, lambda data: data["parity"]["stages"].pop())
    with pytest.raises(ValidationError, match=r"1 are missing \(openvino\+fusion"):
        verify(bundle_copy, silent)


@needs_openvino
def test_predict_runs_in_openvino_where_it_is_asked_for(small_bundle: Path, tmp_path: Path) -> None:
    wav = tmp_path / "a.wav"
    soundfile.write(wav, 0.1 * np.sin(np.arange(30_000) / 5), 4000)
    (want,), (got,) = (
        predict(small_bundle, [wav], plot=None, runtime=name)
        for name in ("onnxruntime", "openvino")
    )
    assert got.probabilities == pytest.approx(want.probabilities, abs=1e-4)
    with pytest.raises(InputError, match="openvino shows no values inside a file"):
        predict(small_bundle, [wav], plot=tmp_path / "a.png", runtime="openvino")


def test_rows_of_an_engine_that_is_not_installed_are_not_judged_and_verify_tells_it(
    bundle_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(registry.RUNTIMES, "openvino", "not_installed:RUNTIME")
    monkeypatch.syspath_prepend(bundle_copy.parent)
    text = "from tinyml.runtimes.ov import OpenVino\n\n\nclass Runtime(OpenVino):\n    "
    text += "def version(self):\n        return None\n\n\nRUNTIME = Runtime()\n"
    (bundle_copy.parent / "not_installed.py").write_text(text)
    of_output = [
        replace(row, engine="openvino+fusion")
        for row in bundles.read(bundle_copy).parity.stages
        if row.engine == "onnxruntime+fusion"
    ]
    edit(bundle_copy, lambda data: data["parity"]["stages"].extend(to_json(of_output)))
    found = verify(bundle_copy, silent)
    (model,) = bundle_copy.glob("*.onnx")
    assert found.skipped == (f"{model.name}: openvino is not installed",)
    assert found.engines == ()
    with pytest.raises(MissingExtraError, match="openvino"):
        choose(bundles.read(bundle_copy), "openvino")
