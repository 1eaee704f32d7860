"""What lies in a bundle: everything it promises, and nothing of the machine that made it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tinyml import board_scripts
from tinyml.core import bundle as bundles
from tinyml.core.paired_difference import Difference
from tinyml.pipeline.outputs import reference
from tinyml.pipeline.predict import predict

ROOT = Path(__file__).parents[2]
FILES = {
    "MODEL_CARD.md",
    "funnelnet-fp32.onnx",
    "funnelnet-fp32.tflite",
    "labels.txt",
    "listen.py",
    "listen_sound.py",
    "listen_windows.py",
    "manifest.json",
    "reference.safetensors",
    "run.py",
}


def test_a_bundle_holds_all_its_files_hashed(small_bundle: Path) -> None:
    assert {path.name for path in small_bundle.iterdir()} == FILES
    bundle = bundles.read(small_bundle)
    assert set(bundle.files) == FILES - {"manifest.json"}
    bundle.check_files()
    assert (small_bundle / "labels.txt").read_text() == "Present\nUnknown\nAbsent\n"


def test_a_manifest_survives_reading(small_bundle: Path) -> None:
    written = json.loads((small_bundle / "manifest.json").read_text())
    assert json.loads(json.dumps(bundles.read(small_bundle).manifest())) == written


def test_every_key_of_the_manifest_is_documented(small_bundle: Path) -> None:
    documented = (ROOT / "docs" / "manifest.md").read_text()
    manifest = json.loads((small_bundle / "manifest.json").read_text())
    for key in (*manifest, *manifest["models"][0], *manifest["facts"], *manifest["processor"]):
        assert f"`{key}`" in documented, key


@pytest.mark.parametrize("name", sorted(FILES - {"reference.safetensors"}))
def test_no_file_tells_where_it_was_made(small_bundle: Path, name: str) -> None:
    data = (small_bundle / name).read_bytes()
    for place in (str(ROOT), sys.prefix, "/tmp/", "site-packages", str(Path.home()) + "/"):
        assert place.encode() not in data
    for source in (b"def forward", b"torch.nn.modules", b"tinyml.models", b"stack_trace", b".py:"):
        assert source not in data


def test_both_files_have_every_stage_and_equal_names(small_bundle: Path) -> None:
    bundle = bundles.read(small_bundle)
    assert bundle.stages[0] == "filter_bank"
    for model in bundle.models:
        assert set(model.stages) == set(bundle.stages)
        assert all(tensor is not None for tensor in model.stages.values())
        assert re.match(r"(onnxruntime|ai-edge-litert|tflite-runtime)>=\d", model.minimum_runtime)
        assert sum(model.passes.values()) > 0


def test_parity_covers_every_engine_case_and_stage(small_bundle: Path) -> None:
    parity = bundles.read(small_bundle).parity
    assert parity.passed
    engines = {row.engine for row in parity.stages}
    assert engines == {
        "captured",
        "rewritten",
        "onnxruntime",
        "onnxruntime+fusion",
        "litert",
        "litert+xnnpack",
    }
    cases = {row.case for row in parity.stages}
    assert {"random", "silence", "tiny", "full-scale", "impulse"} <= cases
    assert any(case.startswith("validation-") for case in cases)
    for agreement in parity.agreements:
        assert agreement.count == agreement.agreeing > 0
        assert (agreement.unit, agreement.metric) == ("persons", "UAR")
        told = bundles.read(small_bundle).facts.training.validation.uar
        assert agreement.difference == Difference(told, told, 0.0, 0.0)


def test_the_reference_holds_pytorchs_answers(small_bundle: Path) -> None:
    expected = reference.load(small_bundle / "reference.safetensors")
    bundle = bundles.read(small_bundle)
    for case, inputs in expected.inputs.items():
        bundle.signature.check_inputs(inputs)
        assert set(expected.stages[case]) == set(bundle.stages)
        assert expected.outputs[case]["probabilities"].shape == (1, 3)


def test_the_card_says_that_it_is_no_medical_device(small_bundle: Path) -> None:
    card = (small_bundle / "MODEL_CARD.md").read_text()
    for words in ("Not a medical device", "demonstration", "uar", "lowest SQNR"):
        assert words.lower() in card.lower()


def test_run_py_is_the_shipped_script_and_gives_the_outputs_of_predict(
    small_bundle: Path, tmp_path: Path
) -> None:
    assert (small_bundle / "run.py").read_bytes() == board_scripts.RUN.read_bytes()
    wav = tmp_path / "a.wav"
    samples = 0.2 * np.random.default_rng(1).standard_normal((45_000, 2))
    soundfile.write(wav, samples, 4000, subtype="PCM_16")
    command = [sys.executable, str(small_bundle / "run.py"), str(wav)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    answer = json.loads(done.stdout)
    (want,) = predict(small_bundle, [wav], plot=None, runtime="litert")
    assert answer["label"] == want.label
    assert answer["probabilities"] == pytest.approx(want.probabilities, abs=1e-6)
    soundfile.write(wav, samples, 8000, subtype="PCM_16")
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert refused.returncode == 3
    assert "recorded at 8000 Hz, not 4000 Hz" in refused.stderr
