"""The pure parts of `make quantized-accuracy`: pooling, intervals, the page."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tinyml.core import checkpoint, paired_difference
from tinyml.core.checkpoint import Checkpoint
from tinyml.core.files import write_json
from tinyml.core.recipe import Recipe
from tinyml.core.recording_processor import RecordingProcessor
from tinyml.core.spec import Signature, TensorSpec
from tinyml.models.training.metrics import average_recall, share_right

FOLDER = Path(__file__).parents[2] / "tools" / "quantized_accuracy"
NAMES = ("cases", "file_outputs", "compare", "write_page")
LABELS = ("Present", "Unknown", "Absent")


@pytest.fixture(scope="module")
def modules() -> Iterator[dict[str, ModuleType]]:
    sys.path.insert(0, str(FOLDER))
    try:
        yield {name: importlib.import_module(name) for name in NAMES}
    finally:
        sys.path.remove(str(FOLDER))
        for name in NAMES:
            sys.modules.pop(name, None)


def outputs_of(
    modules: Any, labels: list[int], truths: list[int], noise: float = 0.0, subject: str = "p"
) -> Any:
    """Of subjects ``p0``, ``p1`` ...: one window each, sure of its label."""
    outputs = (0.8 * np.eye(3)[labels] + 0.1 + noise * np.arange(3)).tolist()
    names = [f"{subject}{number}" for number in range(len(labels))]
    margins = [0.25] * len(labels)
    return modules["file_outputs"].FileOutputs(
        names, truths, labels, margins, outputs, [30.0, 28.5]
    )


def test_folds_are_pooled_and_every_change_keeps_its_fold_and_margin(modules: Any) -> None:
    first = outputs_of(modules, [0, 1, 2], [0, 1, 2])
    second = outputs_of(modules, [2, 2], [2, 0])
    moved = outputs_of(modules, [2, 0], [2, 0], noise=0.1)
    pair = modules["compare"].pool([(0, 1, first, first), (0, 2, second, moved)])
    assert pair.truths == (0, 1, 2, 2, 0)
    assert pair.kept == pytest.approx(0.8)
    assert [asdict(change) for change in pair.changes] == [
        {"seed": 0, "fold": 2, "name": "p1", "truth": 0, "want": 2, "got": 0, "margin": 0.25}
    ]
    assert (pair.sqnr_db[0], pair.low_db[0]) == (float("inf"), float("inf"))
    assert pair.low_db[1] < pair.sqnr_db[1] < 10
    assert pair.parity_db == (28.5, 28.5)


def test_logits_are_found_behind_a_softmax_but_for_their_mean(modules: Any) -> None:
    wanted = np.array([[3.0, -1.0, -2.0], [40.0, 0.0, -40.0]])
    powers = np.exp(wanted - wanted.max(axis=1, keepdims=True))
    found = modules["compare"].logits((powers / powers.sum(axis=1, keepdims=True)).tolist())
    assert found == pytest.approx(wanted)
    assert np.isfinite(modules["compare"].logits([[1.0, 0.0, 0.0]])).all()


def test_outputs_about_other_subjects_are_not_compared(modules: Any) -> None:
    two, one = outputs_of(modules, [0, 1], [0, 1]), outputs_of(modules, [0], [0])
    with pytest.raises(ValueError, match="fold 1: the two files answered about others"):
        modules["compare"].pool([(0, 1, two, one)])


def test_a_paired_interval_is_of_what_moved_and_not_of_who_was_drawn(modules: Any) -> None:
    compare = modules["compare"]
    truths = [0, 1, 2] * 100
    same = outputs_of(modules, [0] * 300, truths)
    nothing = compare.difference(compare.pool([(0, 0, same, same)]), average_recall, 3)
    assert (nothing.low, nothing.high) == (0.0, 0.0)
    assert nothing.points == "+0.00 (+0.00 to +0.00)"
    # Right in everything, then wrong in 30 of 300: a tenth of them, binomial.
    right = outputs_of(modules, truths, truths)
    wrong = outputs_of(
        modules, [(t + 1) % 3 if i < 30 else t for i, t in enumerate(truths)], truths
    )
    found = compare.difference(compare.pool([(0, 0, right, wrong)]), share_right, 3)
    assert (found.want, found.got) == (1.0, 0.9)
    half = 1.96 * (0.1 * 0.9 / 300) ** 0.5
    assert found.low == pytest.approx(-0.1 - half, abs=0.006)
    assert found.high == pytest.approx(-0.1 + half, abs=0.006)


def test_several_seeds_tell_of_the_same_subjects(modules: Any) -> None:
    compare = modules["compare"]
    truths = [0, 1, 2] * 20
    right = outputs_of(modules, truths, truths)
    wrong = outputs_of(modules, [(t + 1) % 3 if i < 6 else t for i, t in enumerate(truths)], truths)
    once = compare.pool([(0, 1, right, wrong)])
    thrice = compare.pool([(seed, 1, right, wrong) for seed in range(3)])
    assert {change.seed for change in thrice.changes} == {0, 1, 2}
    assert compare.difference(thrice, share_right, 3) == compare.difference(once, share_right, 3)


@pytest.fixture
def runs(modules: Any, tmp_path: Path) -> tuple[Path, Any]:
    """Folds of three subjects each, and a file of integers that moves one of them."""
    entry = Signature((TensorSpec("x", (1, 4)),), (TensorSpec("probabilities", (1, 3)),))
    processor = RecordingProcessor(LABELS, 4, 4, 1)
    found = []
    for number in (1, 2):
        path = tmp_path / "circor-folds" / f"fold-{number}.safetensors"
        path.parent.mkdir(exist_ok=True)
        weights = {"w": np.full(2, number, np.float32)}
        Checkpoint("funnelnet", entry, processor, Recipe("r", "funnelnet"), {}, weights).save(path)
        found.append(modules["cases"].Case("funnelnet", number, path))
        keep(
            modules,
            tmp_path,
            found[-1],
            "fp32",
            outputs_of(modules, [0, 1, 2], [0, 1, 2], subject="pq"[number - 1]),
        )
    return tmp_path, found


def keep(modules: Any, runs: Path, case: Any, precision: str, told: Any) -> None:
    for file_format in ("onnx", "tflite"):
        path = runs / "outputs" / f"{case.id}-{precision}-{file_format}.json"
        path.parent.mkdir(exist_ok=True)
        write_json(path, asdict(told))


def test_the_page_says_what_holds_who_changed_and_what_is_missing(
    modules: Any, runs: tuple[Path, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paired_difference, "DRAWS", 50)
    folder, cases = runs
    keep(modules, folder, cases[0], "w8a8-static", outputs_of(modules, [0, 1, 2], [0, 1, 2], 1e-3))
    keep(
        modules,
        folder,
        cases[1],
        "w8a8-static",
        outputs_of(modules, [1, 1, 2], [0, 1, 2], 1e-3, "q"),
    )
    refused = modules["file_outputs"].FileOutputs([], [], [], [], [], [], "logits diverges")
    for case in cases:
        keep(modules, folder, case, "w8-dynamic", refused)
    path = modules["write_page"].write({"funnelnet": cases}, folder, folder)
    text = path.read_text(encoding="utf-8")
    assert "| ONNX in onnxruntime | 0 | 6 | 83.33% | 100.00 | 83.33 | -16.67 (" in text
    assert "- ONNX in onnxruntime: label agreement is at least 95%: **no**" in text
    assert "| TFLite in LiteRT | 0 | 2 | q0 | Present | Present | Unknown | 0.2500 |" in text
    assert "| w8-dynamic | refused | refused |" in text
    assert "- funnelnet, w8-dynamic, tflite: refused by the gate: fold 1: logits diverges" in text
    assert "| w8a16 | not computed | not computed |" in text


def test_outputs_belong_to_the_weights_that_gave_them(modules: Any, runs: tuple[Path, Any]) -> None:
    folder, (case, _) = runs
    kept = modules["file_outputs"].kept
    assert kept(case, "fp32", "onnx", folder) == outputs_of(modules, [0, 1, 2], [0, 1, 2])
    saved = checkpoint.load(case.checkpoint)
    other = {"w": saved.weights["w"] + 1}
    replace(saved, weights=other).save(case.checkpoint)
    assert kept(case, "fp32", "onnx", folder) is None


def test_all_test_images_are_asked_about_and_what_they_are_is_known(
    modules: Any, image_run: Path
) -> None:
    case = modules["cases"].Case("mobilenet-v1", 0, image_run / "checkpoint.safetensors")
    found = case.questions(lambda _event: None)
    assert len(found) == len(found.truths) == 60
    assert set(found.truths.values()) <= set(range(len(found.processor.labels)))
    assert list(found.of_unit([[0.0]] * 60)) == list(found.truths)
