"""An image classifier's way out: checked on test images, the same answers in every place."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tinyml.core import bundle as bundles
from tinyml.core import checkpoint
from tinyml.core.errors import DataError, InputError, UsageError
from tinyml.core.image_processor import ImageProcessor
from tinyml.core.paired_difference import Difference
from tinyml.core.recipe import Recipe
from tinyml.core.typed_json import from_json
from tinyml.models.data.images import ImageSet
from tinyml.pages.card import model_card
from tinyml.pipeline.evaluate import evaluate
from tinyml.pipeline.outputs import evaluation_set
from tinyml.pipeline.outputs.agreement import agreement
from tinyml.pipeline.outputs.data import caveat, image_set, recording_set
from tinyml.pipeline.outputs.evaluation_set import load_evaluation_set
from tinyml.pipeline.outputs.predict_images import read_pixels
from tinyml.pipeline.predict import predict

Cli = Callable[..., "subprocess.CompletedProcess[str]"]

WITHOUT = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "PIL", "scipy"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Refuse())
import runpy
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def silent(_: object) -> None:
    """Nobody listens."""


def processor_of(bundle: Path) -> ImageProcessor:
    processor = bundles.read(bundle).processor
    assert isinstance(processor, ImageProcessor)
    return processor


@pytest.fixture(scope="module")
def shapes(image_run: Path) -> ImageSet:
    saved = checkpoint.load(image_run)
    assert isinstance(saved.processor, ImageProcessor)
    return image_set(saved.recipe, None, saved.processor)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Images of every kind that is taken."""
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    colour = random.integers(0, 256, (60, 90, 3), np.uint8)
    photo, turned = Image.fromarray(colour), Image.Exif()
    turned[0x0112] = 6
    photo.save(folder / "colour.jpg")
    photo.convert("CMYK").save(folder / "cmyk.jpg")
    photo.convert("L").save(folder / "grey.PNG")
    photo.save(folder / "turned.jpg", exif=turned)
    photo.resize((32, 32)).save(folder / "small.bmp")
    photo.convert("P").save(folder / "palette.png", transparency=3)
    Image.fromarray(random.integers(0, 256, (50, 33, 4), np.uint8)).save(folder / "clear.png")
    Image.fromarray(random.integers(0, 65536, (40, 40), np.uint16)).save(folder / "deep.png")
    np.save(folder / "array.npy", colour[:32, :32])
    np.savez(folder / "array.npz", image=colour[:32, :32])
    return sorted(folder.iterdir())


def test_labels_of_the_test_images_are_compared(image_bundle: Path) -> None:
    parity = bundles.read(image_bundle).parity
    assert {found.engine for found in parity.agreements} == {"litert", "onnxruntime"}
    for found in parity.agreements:
        assert (found.unit, found.count, found.agreeing) == ("images", 60, 60)
        assert 0 < found.largest_probability_error < 1e-4
        assert found.metric == "accuracy"
        assert found.difference is not None
        assert (
            found.difference.want == bundles.read(image_bundle).facts.training.validation.accuracy
        )
        assert (found.difference.low, found.difference.high) == (0.0, 0.0)


def test_parity_is_judged_on_real_test_images(image_bundle: Path, shapes: ImageSet) -> None:
    from tinyml.pipeline.outputs import reference

    inputs = reference.load(image_bundle / bundles.REFERENCE).inputs
    real = {name: given for name, given in inputs.items() if name.startswith("validation-")}
    assert len(real) == 4
    for name, given in real.items():
        place = int(name.removeprefix("validation-"))
        want = processor_of(image_bundle).preprocess(shapes.test.images[place][None])
        np.testing.assert_array_equal(given["image"], want)


def test_bundle_checkpoint_and_training_are_judged_alike(
    image_bundle: Path, image_run: Path
) -> None:
    told = checkpoint.load(image_run).facts.validation
    for what, runtime in ((image_run, None), (image_bundle, None), (image_bundle, "onnxruntime")):
        found = evaluate(what, part="validation", data=None, runtime=runtime, report=silent)
        assert found.metrics == told
    assert told.images == 60
    assert told.interval[0] < told.accuracy < told.interval[1]
    both = evaluate(image_run, part="all", data=None, runtime=None, report=silent)
    assert both.metrics.images == 300


def test_predicting_an_image_is_evaluating_it(
    image_bundle: Path, shapes: ImageSet, tmp_path: Path
) -> None:
    counts = np.zeros((10, 10), int)
    paths = [tmp_path / f"{number:02d}.png" for number in range(60)]
    for path, image in zip(paths, shapes.test.images, strict=True):
        Image.fromarray(image).save(path)
    for answer, truth in zip(
        predict(image_bundle, paths, plot=None, runtime=None), shapes.test.labels, strict=True
    ):
        counts[truth, shapes.labels.index(answer.label)] += 1
    found = evaluate(image_bundle, part="validation", data=None, runtime=None, report=silent)
    assert tuple(map(tuple, counts.tolist())) == found.metrics.confusion


def test_the_boards_script_answers_what_predict_answers(
    image_bundle: Path, files: list[Path], cli: Cli
) -> None:
    script = image_bundle / bundles.RUN
    done = subprocess.run(
        [sys.executable, script, *files], capture_output=True, text=True, check=True
    )
    told = cli("predict", image_bundle, *files, "--json")
    assert told.returncode == 0, told.stderr
    assert [json.loads(line) for line in done.stdout.splitlines()] == json.loads(told.stdout)


def test_arrays_need_neither_pillow_nor_torch(image_bundle: Path, files: list[Path]) -> None:
    arrays = [file for file in files if file.suffix in (".npy", ".npz")]
    script = image_bundle / bundles.RUN
    command = [sys.executable, "-W", "ignore", "-c", WITHOUT, script, *arrays]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == 2
    assert answers[0]["probabilities"] == answers[1]["probabilities"]
    assert answers[0]["probabilities"] == pytest.approx(
        predict(image_bundle, arrays[:1], plot=None, runtime=None)[0].probabilities
    )
    np.save(image_bundle.parent / "wrong.npy", np.zeros((8, 8, 3), np.uint8))
    command[-2:] = [image_bundle.parent / "wrong.npy"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "not uint8[32, 32, 3]" in done.stderr


def test_files_that_cannot_be_predicted_are_named(
    image_bundle: Path, cli: Cli, tmp_path: Path
) -> None:
    processor = processor_of(image_bundle)
    (tmp_path / "a.jpg").write_bytes(b"hello")
    (tmp_path / "a.npy").write_bytes(b"hello")
    np.save(tmp_path / "small.npy", np.zeros((8, 8, 3), np.uint8))
    np.save(tmp_path / "object.npy", np.array([{}], object), allow_pickle=True)
    np.savez(tmp_path / "two.npz", a=np.zeros(1), b=np.zeros(1))
    (tmp_path / "folder").mkdir()
    for name, words in (
        ("a.jpg", "is not a jpg, png or bmp"),
        ("a.npy", "cannot be read as an array"),
        ("object.npy", "cannot be read as an array"),
        ("small.npy", r"holds uint8\[8, 8, 3\], the model takes one uint8\[32, 32, 3\]"),
        ("two.npz", "the model takes one"),
        ("nowhere.png", "no image at"),
        ("folder", "no image at"),
    ):
        with pytest.raises(InputError, match=words):
            read_pixels(tmp_path / name, processor)
    with pytest.raises(UsageError, match="no scalogram"):
        predict(image_bundle, [tmp_path / "a.jpg"], plot=tmp_path / "p.png", runtime=None)
    done = cli("predict", image_bundle, tmp_path / "a.jpg")
    assert (done.returncode, done.stdout) == (3, "")
    assert "Traceback" not in done.stderr


def test_predict_prints_the_likeliest_labels(
    image_bundle: Path, files: list[Path], cli: Cli
) -> None:
    done = cli("predict", image_bundle, files[0])
    assert done.returncode == 0, done.stderr
    answer = predict(image_bundle, files[:1], plot=None, runtime=None)[0]
    assert f"{files[0]}: {answer.label}  ({answer.label} " in done.stdout
    assert done.stdout.count("0.") >= 5
    assert "medical" not in done.stderr


def test_eval_prints_accuracy_with_its_interval(image_run: Path, cli_process: Cli) -> None:
    done = cli_process("eval", image_run)
    assert done.returncode == 0, done.stderr
    told = checkpoint.load(image_run).facts.validation
    low, high = told.interval
    assert f"interval             {low:.3f} to {high:.3f}\n" in done.stdout
    assert f"accuracy             {told.accuracy:.3f}\n" in done.stdout


def test_other_data_is_noticed(image_run: Path) -> None:
    saved = checkpoint.load(image_run)
    changed = replace(saved, facts=replace(saved.trained, data_sha256="0" * 64))
    with pytest.raises(DataError, match="'shapes' has changed"):
        load_evaluation_set(changed, None, silent)
    with pytest.raises(UsageError, match="takes no `data`"):
        load_evaluation_set(saved, Path(), silent)


def test_evaluating_on_other_data_is_told(image_run: Path, tmp_path: Path) -> None:
    saved = checkpoint.load(image_run)
    replace(saved, facts=replace(saved.trained, data_sha256="0" * 64)).save(
        tmp_path / checkpoint.FILE
    )
    said: list[Any] = []
    found = evaluate(tmp_path, part="validation", data=None, runtime=None, report=said.append)
    assert found.metrics == saved.facts.validation
    assert any("not the data that the model was trained on" in getattr(e, "text", "") for e in said)
    said.clear()
    evaluate(image_run, part="validation", data=None, runtime=None, report=said.append)
    assert not any(hasattr(event, "text") for event in said)


def test_a_set_with_other_labels_is_not_evaluated(image_run: Path, tmp_path: Path) -> None:
    saved = checkpoint.load(image_run)
    labels = ("x", *saved.processor.labels[1:])
    assert isinstance(saved.processor, ImageProcessor)
    replace(saved, processor=replace(saved.processor, labels=labels)).save(
        tmp_path / checkpoint.FILE
    )
    with pytest.raises(DataError, match="the classes checks"):
        evaluate(tmp_path, part="validation", data=None, runtime=None, report=silent)


def test_of_many_test_images_some_are_taken_from_all_over(
    image_run: Path, shapes: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation_set, "MOST_IMAGES", 7)
    found = load_evaluation_set(checkpoint.load(image_run), None, silent)
    assert isinstance(found, evaluation_set.Images)
    assert (len(found), found.places[0], found.places[-1]) == (7, 0, 59)
    np.testing.assert_array_equal(found.pixels, shapes.test.images[list(found.places)])


def test_what_was_saved_for_the_child_is_what_is_asked(image_run: Path, tmp_path: Path) -> None:
    found = load_evaluation_set(checkpoint.load(image_run), None, silent)
    found.save(tmp_path / "h.npy")
    parts = list(evaluation_set.read_inputs(tmp_path / "h.npy", found.processor, 16))
    assert [len(part) for part in parts] == [16, 16, 16, 12]
    np.testing.assert_array_equal(np.concatenate(parts), found.inputs(0, 60))


@dataclass
class Wrong:
    """An engine that answers as PyTorch does, but for one image."""

    answers: np.ndarray
    name: str = "wrong"
    path: Path = Path()
    at: int = -1

    def open(self) -> Any:
        return self

    @property
    def signature(self) -> Any:
        spec = SimpleNamespace(name="x")
        return SimpleNamespace(inputs=[spec], outputs=[spec])

    def run(self, inputs: Any) -> dict[str, np.ndarray]:
        self.at += 1
        own = self.answers[self.at : self.at + 1]
        return {"x": own[:, ::-1] if self.at == 2 else own}


def test_an_image_whose_label_moved_is_named(tmp_path: Path) -> None:
    processor = ImageProcessor(("a", "b"), 2)
    found = evaluation_set.Images(
        processor, np.zeros((4, 2, 2, 3), np.uint8), (0, 5, 9, 12), (0, 1, 1, 0)
    )
    answers = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.5, 0.5]], np.float32)
    np.save(tmp_path / "p.npy", answers)
    result = agreement(found, Wrong(answers), tmp_path / "p.npy", silent)  # type: ignore[arg-type]
    assert (result.unit, result.count, result.agreeing) == ("images", 4, 3)
    (moved,) = result.disagreements
    assert (moved.name, moved.want, moved.got) == ("test image 9", "a", "b")
    assert moved.margin == pytest.approx(0.4)
    assert result.largest_probability_error == pytest.approx(0.4)
    assert (result.metric, result.difference) == ("accuracy", Difference(0.75, 1.0, 0.0, 0.75))
    assert result.text.endswith("accuracy 0.7500 becomes 1.0000, +25.00 (+0.00 to +75.00) points")


def test_the_card_says_what_the_figures_are_of(image_bundle: Path) -> None:
    bundle = bundles.read(image_bundle)
    card = (image_bundle / bundles.CARD).read_text()
    told = bundle.facts.training.validation
    assert f"accuracy on the 60 images of the test part: {told.accuracy:.3f} (95%" in card
    assert "do not apply to photographs" in card
    assert "60 of 60 validation images get PyTorch's label" in card
    assert "person" not in card
    training = replace(bundle.facts.training, data_set="cifar10")
    other = replace(bundle, facts=replace(bundle.facts, training=training))
    assert "stored as JPEG with loss" in model_card(other, caveat=caveat("cifar10"))


def test_a_set_of_the_other_kind_is_refused() -> None:
    images = from_json(Recipe, {"name": "x", "model": "m", "data": {"set": "shapes"}})
    sounds = from_json(Recipe, {"name": "x", "model": "m", "data": {"set": "synthetic"}})
    with pytest.raises(DataError, match="'shapes' holds images"):
        recording_set(images, None)
    with pytest.raises(DataError, match="'synthetic' holds recordings"):
        image_set(sounds, None, ImageProcessor(("a", "b"), 8))
