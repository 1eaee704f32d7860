"""A NaN is refused and named at every door, in and out; it is never a label or a limit."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

from tinyml.cli.main import app
from tinyml.core import bundle as bundles
from tinyml.core import checkpoint, recipe
from tinyml.core.arrays import check_inputs
from tinyml.core.errors import (
    BundleError,
    CheckpointError,
    DataError,
    InputError,
    RecipeError,
    ValidationError,
)
from tinyml.core.files import sha256
from tinyml.core.finite import check_finite, is_finite
from tinyml.core.image_processor import ImageProcessor
from tinyml.core.quant_params import QuantParams
from tinyml.core.recording_processor import RecordingProcessor
from tinyml.core.spec import Signature, TensorSpec
from tinyml.models.data.audio import read_audio
from tinyml.models.training.run import classify_windows
from tinyml.pipeline.evaluate import evaluate
from tinyml.pipeline.model_sources.user_model import Asked
from tinyml.pipeline.predict import predict
from tinyml.pipeline.verify import verify

NAN = float("nan")
LABELS = ("Present", "Unknown", "Absent")
HEARD = RecordingProcessor(labels=LABELS, window=4, hop=2, rate_hz=4000, thresholds=(0.5, 0.5))


def silent(_: object) -> None:
    """Nobody listens."""


def test_any_type_of_number_is_judged() -> None:
    for fine in (1, True, 0.5, [1, 2], np.zeros(3, np.int8), np.zeros(0, np.float32), "text"):
        assert is_finite(fine)
    for bad in (NAN, np.inf, [1.0, -np.inf], np.float16("nan"), np.array([1j * np.inf])):
        assert not is_finite(bad)


def test_what_is_not_finite_is_named_and_counted() -> None:
    with pytest.raises(InputError, match=r"the weight 'b' holds NaN or infinite values \(1 of 2\)"):
        check_finite("the weight", {"a": [1.0], "b": np.array([0.0, np.inf], np.float16)})
    with pytest.raises(DataError, match="the threshold of 'b' is nan"):
        check_finite("the threshold of", {"a": 1.0, "b": NAN}, error=DataError)


def test_a_decision_refuses_limits_and_probabilities_that_are_not_finite() -> None:
    with pytest.raises(InputError, match="the threshold of 'Unknown' is nan"):
        replace(HEARD, thresholds=(0.5, NAN))
    pictures = ImageProcessor(labels=LABELS, side=8)
    for processor in (HEARD, replace(HEARD, thresholds=()), pictures):
        with pytest.raises(ValidationError, match="the probability of 'Unknown' is nan"):
            processor.postprocess(np.array([0.1, NAN, 0.2], np.float32))
    for asked in ({"mean": (NAN,), "std": (1.0,)}, {"mean": (0.5,), "std": (NAN,)}):
        with pytest.raises(InputError, match="mean and std of channel '0'"):
            ImageProcessor(labels=LABELS, side=8, **asked)


def test_a_recording_that_overflows_is_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.full((9, 2), 3e38, np.float32), 4000, subtype="FLOAT")
    with pytest.raises(DataError, match=r"a\.wav holds NaN or infinite samples"):
        read_audio(tmp_path / "a.wav")
    loud = 3e38 * np.sign(np.sin(np.arange(400) / 9)).astype(np.float32)
    with pytest.raises(DataError, match="too loud to be resampled") as caught:
        HEARD.preprocess(loud, 44_100)
    assert "full scale 1" in caught.value.hint


def test_an_integer_does_not_hide_what_is_not_finite() -> None:
    for bad in (NAN, np.inf):
        with pytest.raises(InputError, match="becomes int8 holds NaN"):
            QuantParams("int8", 0.1, 0).of(np.array([0.0, bad], np.float32))


@pytest.mark.parametrize("bad", [NAN, np.inf])
def test_samples_and_data_that_are_not_finite_are_refused(bad: float) -> None:
    x = np.array([[1.0, bad]], np.float32)
    with pytest.raises(InputError, match="the sample's 'x' holds NaN or infinite values") as caught:
        Asked(sample={"x": x})
    assert "mask" in caught.value.hint
    signature = Signature((TensorSpec("x", (1, 2)),), (TensorSpec("y", (1, 2)),))
    with pytest.raises(InputError, match="the data's 'x' holds"):
        check_inputs(signature.inputs, (), {"x": x}, "the data")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[train]\nlearning_rate = nan", "2: learning_rate is nan"),
        ("[train]\nclass_weights = [1.0, inf]", "2: class_weights[1] is inf"),
        ("[train]\nepochs = " + 5000 * "9", "an integer has too many digits"),
        ("[data]\noptions = " + 5000 * "[", "nested too deeply"),
        ("[data]\noptions = { seconds = nan }", "2: options.seconds is nan"),
    ],
)
def test_a_recipe_holds_finite_numbers(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "r.toml"
    path.write_text(f"{text}\n")
    with pytest.raises(RecipeError) as caught:
        recipe.read(path)
    assert words in caught.value.message


def test_an_option_that_is_not_finite_passes_no_limit() -> None:
    asked = ["prune", "x", "--out", "o", "--method", "gradual", "--sparsity", "nan"]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 3
    assert "error: --sparsity is nan" in done.output


class Constant(nn.Module):
    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, audio: Tensor) -> dict[str, Tensor]:
        return {"probabilities": torch.full((len(audio), 3), self.value)}


def test_pytorch_answers_with_finite_numbers_or_not_at_all() -> None:
    windows = np.zeros((2, 4), np.float32)
    assert classify_windows(Constant(0.5))(windows).shape == (2, 3)
    with pytest.raises(ValidationError, match="PyTorch: the output 'probabilities' holds NaN"):
        classify_windows(Constant(NAN))(windows)


# From here on what a trained run and its bundle say.


def test_weights_that_are_not_finite_are_named_by_all_that_read_them(
    small_run: Path, tmp_path: Path
) -> None:
    saved = checkpoint.load(small_run)
    name = sorted(saved.weights)[0]
    weights = {**saved.weights, name: np.full_like(saved.weights[name], NAN)}
    path = tmp_path / "nan.safetensors"
    replace(saved, weights=weights).save(path)
    words = rf"nan.safetensors: the weight '{name}' holds NaN"
    with pytest.raises(CheckpointError, match=words):
        evaluate(path, part="validation", data=None, runtime=None, report=silent)
    for verb in (["eval", str(path), "--json"], ["export", str(path), "--out", "o"]):
        done = CliRunner().invoke(app, [*verb, *(["--target", "rpi"] if "export" in verb else [])])
        assert (done.exit_code, done.stdout) == (3, "")


@pytest.mark.parametrize("runtime", ["litert", "onnxruntime"])
def test_a_recording_far_beyond_full_scale_is_no_healthy_answer(
    small_bundle: Path, tmp_path: Path, runtime: str
) -> None:
    path = tmp_path / "loud.wav"
    sound = 1e30 * np.sin(np.arange(36_000) / 9)
    soundfile.write(path, sound.astype(np.float32), 4000, subtype="FLOAT")
    words = r"loud.wav: .*: the output 'probabilities' holds NaN"
    with pytest.raises(ValidationError, match=words) as caught:
        predict(small_bundle, [path], plot=None, runtime=runtime)
    assert "full scale 1" in caught.value.hint
    done = CliRunner().invoke(app, ["predict", str(small_bundle), str(path), "--json"])
    assert (done.exit_code, done.stdout) == (5, "")


def _with_manifest(folder: Path, change: Any) -> None:
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def test_thresholds_that_are_not_finite_are_refused_by_every_verb(
    small_bundle: Path, bundle_copy: Path, tmp_path: Path
) -> None:
    _with_manifest(bundle_copy, lambda m: m["processor"].update(thresholds=[NAN, 0.5]))
    verbs: tuple[Any, ...] = (
        lambda: predict(bundle_copy, [tmp_path / "a.wav"], plot=None, runtime=None),
        lambda: evaluate(bundle_copy, part="all", data=None, runtime=None, report=silent),
        lambda: verify(bundle_copy, silent),
    )
    for verb in verbs:
        with pytest.raises(BundleError, match=r"manifest.json: processor\.thresholds\[0\] is nan"):
            verb()


def test_a_reference_whose_inputs_are_not_finite_proves_nothing(bundle_copy: Path) -> None:
    from safetensors.numpy import load_file, save_file

    path = bundle_copy / bundles.REFERENCE
    arrays = load_file(path)
    key = next(name for name in arrays if name.startswith("input/random/"))
    arrays[key] = arrays[key] * np.float32(NAN)
    save_file(arrays, path)
    hashed = {"sha256": sha256(path)}
    _with_manifest(bundle_copy, lambda m: m["files"][bundles.REFERENCE].update(hashed))
    with pytest.raises(BundleError, match=r"case 'random', input '.*' holds NaN"):
        verify(bundle_copy, silent)


@pytest.mark.parametrize(
    ("bad", "code", "words"),
    [(np.inf, 5, "the output"), (NAN, 3, "processor.thresholds in manifest.json")],
)
def test_the_script_of_a_bundle_refuses_them_too(
    bundle_copy: Path, tmp_path: Path, bad: float, code: int, words: str
) -> None:
    """Samples of 1e30 make the network's sums infinite."""
    import subprocess
    import sys

    wav = tmp_path / "a.wav"
    loud = 0.3 if code == 3 else 1e30
    soundfile.write(wav, loud * np.sin(np.arange(30_000) / 5), 4000, subtype="FLOAT")
    script = bundle_copy / bundles.RUN
    if code == 3:
        _with_manifest(bundle_copy, lambda m: m["processor"].update(thresholds=[bad, 0.5]))
    command = [sys.executable, "-W", "ignore", str(script), str(wav)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (code, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr
