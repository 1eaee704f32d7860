"""Bad input: one clear line with a remedy, the right exit code, nothing half-written."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

Cli = Callable[..., "subprocess.CompletedProcess[str]"]
RATE = 4000
TONE = (0.3 * np.sin(np.arange(8 * RATE) / 9)).astype(np.float32)


def assert_refused(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    """The command failed as it should: ``code``, one ``error:`` line with ``words``."""
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, done.stderr
    for word in words:
        assert word in done.stderr, done.stderr
    assert done.stdout == ""


def short_by(path: Path, count: int) -> None:
    path.write_bytes(path.read_bytes()[:-count])


def write_wav(path: Path, samples: np.ndarray, rate: int = RATE, subtype: str = "PCM_16") -> Path:
    soundfile.write(path, samples, rate, subtype=subtype)
    return path


@pytest.fixture
def wavs(tmp_path: Path) -> dict[str, Path]:
    files = {
        "silent": write_wav(tmp_path / "silent.wav", 0 * TONE),
        "NaN": write_wav(tmp_path / "nan.wav", TONE * np.float32("nan"), subtype="FLOAT"),
        "short": write_wav(tmp_path / "short.wav", TONE[: 3 * RATE]),
        "channels": write_wav(tmp_path / "three.wav", np.stack([TONE] * 3, 1)),
        "band": write_wav(tmp_path / "slow.wav", TONE[:9000], 1000),
        "truncated": write_wav(tmp_path / "cut.wav", TONE),
        "empty": tmp_path / "empty.wav",
        "not audio": tmp_path / "text.wav",
        "missing": tmp_path / "nowhere.wav",
    }
    short_by(files["truncated"], 20000)
    files["empty"].touch()
    files["not audio"].write_text("hello")
    return files


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("silent", ("silent",)),
        ("NaN", ("NaN",)),
        ("short", ("3.00 s", "6.00 s")),
        ("channels", ("3 channels",)),
        ("band", ("1000 Hz", "2000 Hz")),
        ("truncated", ("cut.wav",)),
        ("empty", ("empty",)),
        ("not audio", ("text.wav",)),
        ("missing", ("nowhere.wav",)),
    ],
)
def test_a_recording_that_cannot_be_judged_is_named(
    cli: Cli, small_bundle: Path, wavs: dict[str, Path], kind: str, words: tuple[str, ...]
) -> None:
    assert_refused(cli("predict", small_bundle, wavs[kind]), 3, wavs[kind].name, *words)


def test_checkpoints_that_cannot_be_read_are_assert_refused(
    cli: Cli, small_run: Path, tmp_path: Path
) -> None:
    evil = tmp_path / "evil.pt"
    evil.write_bytes(pickle.dumps({"weights": 1}, protocol=4))
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes((small_run / "checkpoint.safetensors").read_bytes()[:-100])
    out = tmp_path / "out"
    assert_refused(cli("export", evil, "--target", "rpi", "--out", out), 3, "pickle", "hint:")
    assert_refused(cli("export", cut, "--target", "rpi", "--out", out), 3, "truncated")
    assert not out.exists()


def test_a_checkpoint_of_another_model_is_assert_refused(
    cli: Cli, small_run: Path, tmp_path: Path
) -> None:
    from dataclasses import replace

    from tinyml.core import checkpoint

    other = replace(checkpoint.load(small_run), model="funnelnet-paper")
    other.save(tmp_path / "other.safetensors")
    done = cli("export", tmp_path / "other.safetensors", "--target", "rpi", "--out", tmp_path / "o")
    assert_refused(done, 3, "funnelnet-paper")
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("verb", ["verify", "predict", "bench"])
def test_a_changed_bundle_is_not_used(
    cli: Cli, cli_process: Cli, bundle_copy: Path, verb: str, tmp_path: Path
) -> None:
    wav = [write_wav(tmp_path / "a.wav", TONE)] if verb == "predict" else []
    model = next(bundle_copy.glob("*.tflite"))
    data = bytearray(model.read_bytes())
    data[len(data) // 2] ^= 1
    model.write_bytes(data)
    assert_refused(cli_process(verb, bundle_copy, *wav), 5, model.name, "was changed")
    model.unlink()
    assert_refused(cli(verb, bundle_copy, *wav), 5, model.name, "is missing")


def test_a_newer_or_broken_manifest_is_assert_refused(cli: Cli, bundle_copy: Path) -> None:
    path = bundle_copy / "manifest.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps(manifest | {"schema": 99}))
    assert_refused(cli("verify", bundle_copy), 3, "schema 99", "upgrade")
    path.write_text(json.dumps({"schema": 1}))
    assert_refused(cli("inspect", bundle_copy), 3, "missing required field")
    path.write_text("{")
    assert_refused(cli("inspect", bundle_copy), 3, "is not JSON")
    path.unlink()
    assert_refused(cli("predict", bundle_copy, "a.wav"), 3, "is not a bundle")


def test_a_manifest_cannot_name_files_outside_its_folder(cli: Cli, bundle_copy: Path) -> None:
    path = bundle_copy / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["models"][0]["path"] = "../../etc/passwd"
    path.write_text(json.dumps(manifest))
    assert_refused(cli("inspect", bundle_copy), 3, "outside the bundle")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--target", "rpi6"), ("unknown target 'rpi6'", "did you mean 'rpi")),
        (
            ("--target", "rpi", "--formats", "tflight"),
            ("'tflight' of --formats", "'tflite'"),
        ),
        (
            ("--target", "rpi", "--precision", "fp17"),
            ("'fp17' of --precision", "'fp16'?"),
        ),
        (
            ("--target", "rpi", "--precision", "w8a8-static", "--max-drop-points", "0.5"),
            ("--max-drop-points is for --auto-precision", "hint: add --auto-precision"),
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_suggestion(
    cli: Cli, small_run: Path, tmp_path: Path, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    assert_refused(cli("export", small_run, *arguments, "--out", tmp_path / "out"), 2, *words)
    assert not (tmp_path / "out").exists()


def test_an_unknown_model_gets_a_suggestion(cli: Cli, tmp_path: Path, recipe_text: str) -> None:
    done = cli("export", "funelnet", "--target", "rpi", "--out", tmp_path / "out")
    assert_refused(done, 2, "unknown model 'funelnet'", "did you mean 'funnelnet'")
    done = cli("export", "funnelnet", "--target", "rpi", "--out", tmp_path / "out")
    assert_refused(done, 2, "--weights")
    recipe = tmp_path / "r.toml"
    recipe.write_text(recipe_text.replace('"funnelnet"', '"funnelnets"'))
    assert_refused(cli("train", recipe, "--out", tmp_path / "run"), 2, "did you mean 'funnelnet'")


def test_a_misspelt_recipe_key_is_located(cli: Cli, tmp_path: Path, recipe_text: str) -> None:
    recipe = tmp_path / "r.toml"
    recipe.write_text(recipe_text.replace("epochs", "epoch"))
    assert_refused(cli("train", recipe, "--out", tmp_path / "run"), 3, "r.toml:9", "'epochs'")
    assert not (tmp_path / "run").exists()


def test_a_data_folder_that_is_missing_or_another_is_named(cli: Cli, tmp_path: Path) -> None:
    other = tmp_path / "other"
    (other / "stuff").mkdir(parents=True)
    for folder in (tmp_path / "missing", other):
        done = cli("train", "circor", "--data", folder, "--out", tmp_path / "run")
        assert_refused(done, 3, folder.name, "hint:")
    unset = {"TINYML_DATA": ""}
    assert_refused(cli("train", "circor", "--out", tmp_path / "run", env=unset), 3, "TINYML_DATA")


def test_an_existing_folder_is_kept_without_force(
    cli: Cli, small_run: Path, bundle_copy: Path
) -> None:
    before = sorted(path.name for path in bundle_copy.iterdir())
    assert_refused(cli("export", small_run, "--target", "rpi", "--out", bundle_copy), 2, "--force")
    assert sorted(path.name for path in bundle_copy.iterdir()) == before


def test_a_folder_below_a_file_cannot_be_made(cli: Cli, small_run: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = cli("export", small_run, "--target", "rpi", "--out", tmp_path / "file" / "out")
    assert_refused(done, 2, "is a file, not a folder")


def in_namespace(mount: str, folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command line with ``mount`` on ``folder`` in a private mount namespace."""
    if shutil.which("unshare") is None:
        pytest.skip("unshare (util-linux) is not installed")
    words = [sys.executable, "-m", "tinyml.cli.main", *map(str, arguments)]
    script = f'mount -t tmpfs -o {mount} none "$0" && exec "$@"'
    command = ["unshare", "--map-root-user", "--mount", "sh", "-c", script, str(folder), *words]
    probe = subprocess.run([*command[:7], "true"], capture_output=True, check=False)
    if probe.returncode:
        pytest.skip("private mount namespaces are not allowed here")
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_full_disk_is_the_machines_fault(small_run: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    more = ("--target", "rpi", "--formats", "onnx", "--out", disk / "bundle")
    done = in_namespace("size=64k", disk, "export", small_run, *more)
    assert_refused(done, 1, f"no space left in {disk}", "free some space")


def test_a_read_only_place_is_the_machines_fault(small_run: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    done = in_namespace("ro", disk, "export", small_run, "--target", "rpi", "--out", disk / "b")
    assert_refused(done, 1, "Read-only", "may write to")


def test_a_full_disk_stops_training_cleanly(tmp_path: Path, recipe_text: str) -> None:
    disk, recipe = tmp_path / "disk", tmp_path / "r.toml"
    disk.mkdir()
    recipe.write_text(recipe_text)
    done = in_namespace("size=8k", disk, "train", recipe, "--out", disk / "run")
    assert_refused(done, 1, f"no space left in {disk}")


PICTURES = """\
model = "resnet-20"

[data]
set = "image_folder"

[train]
epochs = 1
"""


def write_pictures(root: Path) -> Path:
    """Three images of each of two classes in both parts."""
    from PIL import Image

    random = np.random.default_rng(0)
    for part in ("train", "test"):
        for name in ("cat", "dog"):
            (root / part / name).mkdir(parents=True)
            for number in range(3):
                pixels = random.integers(0, 256, (32, 32, 3), np.uint8)
                Image.fromarray(pixels).save(root / part / name / f"{number}.jpg")
    return root


def break_picture(root: Path) -> None:
    short_by(root / "test" / "dog" / "2.jpg", 300)


def empty_class(root: Path) -> None:
    for path in (root / "train" / "dog").iterdir():
        path.unlink()


def lose_from_test(root: Path) -> None:
    shutil.rmtree(root / "test" / "dog")


def lose_a_class(root: Path) -> None:
    shutil.rmtree(root / "test" / "dog")
    shutil.rmtree(root / "train" / "dog")


def lose_train(root: Path) -> None:
    shutil.rmtree(root / "train")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (break_picture, ("test/dog/2.jpg is broken",)),
        (empty_class, ("class 'dog' of train has no image",)),
        (lose_from_test, ("class 'dog' is missing from test/",)),
        (lose_a_class, ("1 classes to train on",)),
        (lose_train, ("no folder", "train/<class>/*.jpg")),
    ],
)
def test_images_that_cannot_be_trained_on_are_named(
    cli: Cli, tmp_path: Path, change: Callable[[Path], None], words: tuple[str, ...]
) -> None:
    root, recipe = write_pictures(tmp_path / "pictures"), tmp_path / "r.toml"
    change(root)
    recipe.write_text(PICTURES)
    done = cli("train", recipe, "--data", root, "--out", tmp_path / "run")
    assert_refused(done, 3, *words)
    assert not (tmp_path / "run").exists()


def test_images_and_recordings_are_not_mixed_up(
    cli: Cli, image_bundle: Path, small_bundle: Path, tmp_path: Path
) -> None:
    wav = write_wav(tmp_path / "a.wav", TONE)
    assert_refused(cli("predict", image_bundle, wav), 3, "a.wav is not a jpg, png or bmp")
    photo = write_pictures(tmp_path / "p") / "test" / "cat" / "0.jpg"
    assert_refused(cli("predict", small_bundle, photo), 3, "0.jpg is not audio")
    recipe = tmp_path / "r.toml"
    recipe.write_text(PICTURES.replace("image_folder", "synthetic"))
    done = cli("train", recipe, "--out", tmp_path / "run")
    assert_refused(done, 3, "'synthetic' holds recordings")
    recipe.write_text(PICTURES.replace("resnet-20", "funnelnet"))
    done = cli("train", recipe, "--data", tmp_path / "p", "--out", tmp_path / "run")
    assert_refused(done, 3, "'image_folder' holds images")
