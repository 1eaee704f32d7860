"""Using a bundle: verified without torch, predictions equal to evaluation, times apart."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from short_timing import short

from tinyml.core import bundle as bundles
from tinyml.core.errors import ValidationError
from tinyml.core.files import sha256
from tinyml.core.versions import version_of
from tinyml.models.data.recordings import RecordingSet
from tinyml.pipeline.bench import bench
from tinyml.pipeline.evaluate import evaluate
from tinyml.pipeline.outputs.data import recording_set
from tinyml.pipeline.predict import predict
from tinyml.pipeline.verify import verify

NO_TORCH = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "litert_torch", "onnxscript"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Refuse())
sys.argv = ["tinyml", "verify", sys.argv[1]]
import runpy
runpy.run_module("tinyml.cli.main", run_name="__main__")
"""


def silent(_: object) -> None:
    """Nobody listens."""


def test_a_bundle_that_was_moved_is_verified_without_torch(bundle_copy: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-c", NO_TORCH, str(bundle_copy)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    bundle = bundles.read(bundle_copy)
    rows = sum(r.engine not in ("captured", "rewritten") for r in bundle.parity.stages)
    files = len(bundle.files)
    assert f"{files} files unchanged, parity holds: {rows} of {rows} rows judged" in done.stdout
    assert f"digest: {sha256(bundle_copy / 'manifest.json')}" in done.stdout


@pytest.mark.parametrize("kind", ["tflite", "onnx"])
def test_a_weight_changed_after_the_writer_is_traced_to_its_stage(
    bundle_copy: Path, kind: str
) -> None:
    """Even when the manifest's hashes were changed with it."""
    model = next(bundle_copy.glob(f"*.{kind}"))
    wanted = trained_weight(bundle_copy)
    data = model.read_bytes()
    assert data.count(wanted) == 1
    model.write_bytes(data.replace(wanted, (np.frombuffer(wanted, "<f4") * 1.1).tobytes()))
    path = bundle_copy / "manifest.json"
    manifest = json.loads(path.read_text())
    (entry,) = (m for m in manifest["models"] if m["path"] == model.name)
    entry["sha256"] = manifest["files"][model.name]["sha256"] = sha256(model)
    path.write_text(json.dumps(manifest))
    with pytest.raises(ValidationError, match="at stage 'logits'"):
        verify(bundle_copy, silent)


def trained_weight(folder: Path) -> bytes:
    """The last layer's weights as both files hold them."""
    import onnx

    model = onnx.load(str(next(folder.glob("*.onnx"))))
    found = [w for w in model.graph.initializer if list(w.dims) in ([3, 96], [96, 3])]
    return onnx.numpy_helper.to_array(found[0]).astype("<f4").tobytes()


def test_predicting_a_file_equals_evaluating_it(
    small_bundle: Path, small_run: Path, tmp_path: Path
) -> None:
    recipe = bundles.read(small_bundle).facts.recipe
    data: RecordingSet = recording_set(recipe, None)
    evaluated = evaluate(small_bundle, part="validation", data=None, runtime=None, report=silent)
    oracle = evaluate(small_run, part="validation", data=None, runtime=None, report=silent)
    assert evaluated.metrics.confusion == oracle.metrics.confusion
    for row, want in zip(evaluated.recordings, oracle.recordings, strict=True):
        assert row.probabilities == pytest.approx(want.probabilities, abs=1e-4)
    for row in evaluated.recordings[:3]:
        samples, rate_hz = next(r for r in data.recordings if r.id == row.id).load()
        wav = tmp_path / "a.wav"
        soundfile.write(wav, samples, rate_hz, subtype="FLOAT")
        (answer,) = predict(small_bundle, [wav], plot=None, runtime=None)
        assert tuple(answer.probabilities.values()) == row.probabilities


def test_the_same_sound_in_another_container_gives_the_same_answer(
    small_bundle: Path, tmp_path: Path
) -> None:
    rng = np.random.default_rng(2)
    sound = 0.3 * rng.standard_normal(40_000)
    sound = np.convolve(sound, np.hanning(12) / 6, "same")
    from scipy.signal import resample_poly

    kinds = {
        "16.wav": (sound, 4000, "PCM_16"),
        "24.wav": (sound, 4000, "PCM_24"),
        "u8.wav": (sound, 4000, "PCM_U8"),
        "f64.wav": (sound, 4000, "DOUBLE"),
        "stereo.wav": (np.stack([sound, sound], 1), 4000, "PCM_16"),
        "16.flac": (sound, 4000, "PCM_16"),
        "rate.wav": (resample_poly(sound, 441, 40), 44_100, "FLOAT"),
    }
    for name, (samples, rate_hz, subtype) in kinds.items():
        soundfile.write(tmp_path / name, samples, rate_hz, subtype=subtype)
    answers = predict(small_bundle, [tmp_path / name for name in kinds], plot=None, runtime=None)
    first, *others = (np.array(list(a.probabilities.values())) for a in answers)
    for name, other in zip(list(kinds)[1:], others, strict=True):
        assert np.abs(other - first).max() < 0.02, name


def test_a_prediction_can_be_drawn(small_bundle: Path, tmp_path: Path) -> None:
    wav, png = tmp_path / "a.wav", tmp_path / "a.png"
    soundfile.write(wav, 0.1 * np.sin(np.arange(30_000) / 5), 4000)
    predict(small_bundle, [wav], plot=png, runtime="onnxruntime")
    assert png.read_bytes().startswith(b"\x89PNG")


@pytest.mark.usefixtures("quiet_machine")
def test_a_benchmark_times_both_runtimes_and_lies_beside_the_bundle(bundle_copy: Path) -> None:
    result = bench(bundle_copy, timing=short(2, 5), out=None, report=silent)
    parts = {(m.runtime, m.part) for m in result.measurements}
    names = ["litert", "onnxruntime", *(["openvino"] if version_of("openvino") else [])]
    assert parts == {(r, p) for r in names for p in ("whole", "front end")}
    assert sorted(d.whole.runtime for d in result.networks) == names
    assert {m.runtime: m.precision for m in result.measurements}.get("openvino") in (
        None,
        "float32",
    )
    written = json.loads(result.path.read_text())
    assert result.path.parent == bundle_copy.parent
    assert written["label"] == "host"
    assert all(len(p["samples_ns"]) == 5 for m in written["measurements"] for p in m["processes"])
    bundles.read(bundle_copy).check_files()


def test_a_bundle_with_one_format_is_used_through_its_runtime(
    bundle_copy: Path, tmp_path: Path
) -> None:
    only = shutil.copytree(bundle_copy, tmp_path / "only")
    path = only / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["models"] = [m for m in manifest["models"] if m["format"] == "onnx"]
    for name in ("funnelnet-fp32.tflite", "MODEL_CARD.md"):
        del manifest["files"][name]
        (only / name).unlink()
    path.write_text(json.dumps(manifest))
    wav = tmp_path / "a.wav"
    soundfile.write(wav, 0.1 * np.sin(np.arange(30_000) / 5), 4000)
    assert predict(only, [wav], plot=None, runtime=None)[0].label in (
        "Present",
        "Unknown",
        "Absent",
    )
