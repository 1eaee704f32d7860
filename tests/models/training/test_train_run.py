"""A run stopped anywhere ends in the same bytes; what it learned comes from its own subjects."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tinyml.core import checkpoint
from tinyml.core.errors import CheckpointError, DataError, RecipeError, UsageError
from tinyml.core.events import Event, Message, Progress
from tinyml.core.files import temporary
from tinyml.core.folders import lock
from tinyml.core.recipe import DecisionRecipe, Recipe, TrainRecipe
from tinyml.core.recording_processor import RecordingProcessor
from tinyml.core.spec import Signature, TensorSpec
from tinyml.core.typed_json import to_json
from tinyml.models.data.recordings import Recording, RecordingSet, subject_labels
from tinyml.models.protocol import ModelEntry
from tinyml.models.training.cross_validation import cross_validate, fold_file
from tinyml.models.training.metrics import subject_metrics
from tinyml.models.training.optimize import one_cycle
from tinyml.models.training.predict import by_subject, predict_recordings
from tinyml.models.training.recordings import train
from tinyml.models.training.run import classify_windows, load_module

LABELS = ("Present", "Unknown", "Absent")
RATE = 100
WINDOW = 200


class Small(nn.Module):
    """A network of the protocol that `train` needs, small enough to train many times."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(8))
        self.normalization = nn.BatchNorm1d(8)
        self.dropout = nn.Dropout(0.2)
        self.linear = nn.Linear(8, classes)

    def features(self, waveform: Tensor) -> Tensor:
        return torch.fft.rfft(waveform).abs()[:, 1:81].unflatten(1, (8, 10)).mean(2).log1p()

    def fit_statistics(self, features: Tensor) -> None:
        self.get_buffer("mean").copy_(features.mean(0))

    def classify(self, features: Tensor) -> Tensor:
        return self.linear(self.dropout(self.normalization(features - self.get_buffer("mean"))))

    def forward(self, waveform: Tensor) -> dict[str, Tensor]:
        return {"probabilities": torch.softmax(self.classify(self.features(waveform)), 1)}


def signature(classes: int) -> Signature:
    return Signature(
        (TensorSpec("waveform", (1, WINDOW), rate_hz=RATE),),
        (TensorSpec("probabilities", (1, classes)),),
    )


SMALL = ModelEntry(
    name="small",
    paper="",
    summary="",
    signature=signature,
    processor=RecordingProcessor(LABELS, WINDOW, WINDOW // 2, RATE),
    build=Small,
    stages=("normalization", "linear"),
)
RECIPE = Recipe(
    name="r",
    model="small",
    seed=5,
    train=TrainRecipe(epochs=3, batch_size=8, threshold_folds=2, class_weights=(5.0, 3.0, 1.0)),
)


def tones(subjects: int = 24, offset: int = 0) -> RecordingSet:
    """Each label a tone of its own in noise."""

    def sound(subject: int, number: int) -> tuple[np.ndarray, int]:
        random = np.random.default_rng((subject + offset, number))
        time_s = np.arange(500) / RATE
        tone = np.sin(2 * np.pi * (6 + 12 * (subject % 3)) * time_s + random.uniform(0, 6))
        return (0.2 * tone + 0.1 * random.standard_normal(500)).astype(np.float32), RATE

    recordings = tuple(
        Recording(f"p{p:02d}-{n}", f"p{p:02d}", p % 3, lambda p=p, n=n: sound(p, n))
        for p in range(subjects)
        for n in range(2)
    )
    return RecordingSet("tones", LABELS, recordings, (), f"{subjects}-{offset}")


DATA = tones()


def quiet(event: Event) -> None:
    assert isinstance(event, Message | Progress)


class Stop:
    """A report that interrupts the run at its ``count``-th event."""

    def __init__(self, count: int) -> None:
        self.left = count

    def __call__(self, event: Event) -> None:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "run"
    train(SMALL, RECIPE, DATA, folder, quiet)
    return folder


def test_a_run_leaves_its_checkpoint_and_curve(whole: Path) -> None:
    assert sorted(content(whole)) == ["checkpoint.safetensors", "curve.json"]
    assert os.listdir(whole.parent) == ["run"]
    saved = checkpoint.load(whole)
    curve = json.loads((whole / "curve.json").read_text())
    assert [row["epoch"] for row in curve] == [1, 2, 3]
    assert all({"loss", "validation_loss"} <= set(row) for row in curve)
    assert list(saved.facts.curve) == curve
    assert saved.facts.threads == 1
    assert saved.facts.instruction_set == torch.backends.cpu.get_cpu_capability()
    assert saved.facts.parameters == sum(p.numel() for p in Small(3).parameters())
    assert len(saved.processor.thresholds) == 2


def test_a_run_interrupted_at_any_event_ends_in_the_same_bytes(whole: Path, tmp_path: Path) -> None:
    count = 0
    while True:
        folder = tmp_path / str(count)
        try:
            train(SMALL, RECIPE, DATA, folder, Stop(count))
        except KeyboardInterrupt:
            assert not (folder / checkpoint.FILE).exists()
            train(SMALL, RECIPE, DATA, folder, quiet)
            assert content(folder) == content(whole)
        else:
            break
        count += 7 if count < len(DATA.recordings) - 8 else 1
    assert count > len(DATA.recordings) + 3 * 3 - 1


def test_a_run_interrupted_after_every_epoch_ends_in_the_same_bytes(
    whole: Path, tmp_path: Path
) -> None:
    stops = 0
    while True:
        try:
            train(SMALL, RECIPE, DATA, tmp_path / "run", Stop(len(DATA.recordings) + 1))
        except KeyboardInterrupt:
            stops += 1
        else:
            break
    assert stops >= 4
    assert content(tmp_path / "run") == content(whole)


KILLED = """
import os, signal, sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from test_train_run import DATA, RECIPE, SMALL
from tinyml.models.training.recordings import train
def report(event):
    if event.event == "epoch" and event.title == "training" and event.done == 2:
        os.kill(os.getpid(), signal.SIGKILL)
train(SMALL, RECIPE, DATA, Path({out!r}), report)
"""


def test_a_killed_run_ends_in_the_same_bytes_and_files(whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    code = KILLED.format(tests=str(Path(__file__).parent), out=str(out))
    killed = subprocess.run([sys.executable, "-c", code], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert (out / "state.safetensors").is_file()
    temporary(out / "state.safetensors").write_bytes(b"half")
    temporary(out / "curve.json").write_bytes(b"half")
    users = dict.fromkeys((".notes.json.bak", ".state.safetensors.abcd1234"), b"mine")
    for name, data in users.items():
        (out / name).write_bytes(data)
    said: list[Event] = []
    train(SMALL, RECIPE, DATA, out, said.append)
    assert [e.done for e in said if getattr(e, "title", "") == "training"] == [3]
    assert not [e for e in said if "thresholds" in getattr(e, "title", "")]
    assert content(out) == {**content(whole), **users}
    assert os.listdir(tmp_path) == ["run"]


def test_a_finished_run_is_returned_as_it_is(whole: Path) -> None:
    before = content(whole)
    said: list[Event] = []
    again = train(SMALL, RECIPE, DATA, whole, said.append)
    assert "finished already" in said[0].text
    assert again.facts == checkpoint.load(whole).facts
    assert content(whole) == before


def test_another_runs_folder_is_refused(whole: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="another recipe"):
        train(SMALL, replace(RECIPE, seed=6), DATA, whole, quiet)
    with pytest.raises(CheckpointError, match="another data"):
        train(SMALL, RECIPE, tones(30), whole, quiet)
    with pytest.raises(KeyboardInterrupt):
        train(SMALL, RECIPE, DATA, tmp_path / "run", Stop(5))
    before = content(tmp_path / "run")
    for recipe, data, word in (
        (replace(RECIPE, seed=6), DATA, "another recipe"),
        (RECIPE, tones(30), "another data"),
    ):
        with pytest.raises(CheckpointError, match=word) as caught:
            train(SMALL, recipe, data, tmp_path / "run", quiet)
        assert "--out" in caught.value.hint
    assert content(tmp_path / "run") == before


def test_a_broken_state_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(SMALL, RECIPE, DATA, tmp_path / "run", Stop(len(DATA.recordings) + 2))
    state = tmp_path / "run" / "state.safetensors"
    state.write_bytes(state.read_bytes()[:-50])
    with pytest.raises(CheckpointError, match=r"state\.safetensors"):
        train(SMALL, RECIPE, DATA, tmp_path / "run", quiet)


def test_another_instruction_set_is_said_and_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(SMALL, RECIPE, DATA, tmp_path / "run", Stop(len(DATA.recordings) + 2))
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "OTHER")
    said: list[Event] = []
    saved = train(SMALL, RECIPE, DATA, tmp_path / "run", said.append)
    assert any("instruction set was" in getattr(event, "text", "") for event in said)
    assert saved.facts.instruction_set == "OTHER"


def test_two_runs_in_one_folder_at_once_are_refused(tmp_path: Path) -> None:
    with lock(tmp_path / "run"), pytest.raises(UsageError, match="another process"):
        train(SMALL, RECIPE, DATA, tmp_path / "run", quiet)
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is a file"):
        train(SMALL, RECIPE, DATA, tmp_path / "file", quiet)


def test_statistics_thresholds_and_weights_see_training_subjects_only(
    whole: Path, tmp_path: Path
) -> None:
    saved = checkpoint.load(whole)
    validation = set(saved.facts.split.validation)
    assert validation

    def other_sound(recording: Recording) -> Recording:
        samples, rate_hz = recording.load()
        return replace(recording, load=lambda: (samples[::-1] * 3, rate_hz))

    changed = tuple(other_sound(r) if r.subject in validation else r for r in DATA.recordings)
    other = train(SMALL, RECIPE, replace(DATA, recordings=changed), tmp_path / "run", quiet)
    assert other.processor == saved.processor
    for name, value in saved.weights.items():
        np.testing.assert_array_equal(value, other.weights[name], err_msg=name)
    assert other.facts.curve[0]["validation_loss"] != saved.facts.curve[0]["validation_loss"]


def test_predicting_the_recordings_gives_the_validation_metrics_of_training(tmp_path: Path) -> None:
    recipe = replace(RECIPE, train=replace(RECIPE.train, epochs=20))
    saved = train(SMALL, recipe, DATA, tmp_path / "run", quiet)
    validation = set(saved.facts.split.validation)
    recordings = [r for r in DATA.recordings if r.subject in validation]
    answer = classify_windows(load_module(SMALL, saved))
    found = predict_recordings(answer, saved.processor, recordings)
    subjects = by_subject(saved.processor, [r.subject for r in recordings], found)
    metrics = subject_metrics(saved.processor, subject_labels(DATA), subjects)
    assert metrics == saved.facts.validation
    assert metrics.uar > 0.9


def test_what_begins_with_a_folds_model_holds_out_that_fold(tmp_path: Path) -> None:
    cross_validate(SMALL, RECIPE, DATA, 3, tmp_path / "folds", quiet)
    for number in (1, 2):
        parent = checkpoint.load(tmp_path / "folds" / fold_file(number))
        made = train(SMALL, RECIPE, DATA, tmp_path / f"from-{number}", quiet, parent)
        assert made.facts.split == parent.facts.split
        assert made.processor.thresholds == parent.processor.thresholds


def test_folds_answer_every_subject_once_and_continue_after_a_stop(tmp_path: Path) -> None:
    result = cross_validate(SMALL, RECIPE, DATA, 3, tmp_path / "a", quiet)
    assert set(result.persons) == set(subject_labels(DATA))
    assert {row.fold for row in result.persons.values()} == {1, 2, 3}
    assert sum(row.persons for row in result.folds) == result.pooled.persons == 24
    assert all(len(row.thresholds) == 2 for row in result.folds)
    for count in (0, 30, len(DATA.recordings) + 4, len(DATA.recordings) + 14):
        with pytest.raises(KeyboardInterrupt):
            cross_validate(SMALL, RECIPE, DATA, 3, tmp_path / "b", Stop(count))
    assert cross_validate(SMALL, RECIPE, DATA, 3, tmp_path / "b", quiet) == result
    assert content(tmp_path / "b") == content(tmp_path / "a")
    models = ["fold-1.safetensors", "fold-2.safetensors", "fold-3.safetensors"]
    assert sorted(content(tmp_path / "a")) == [*models, "folds.json"]
    assert json.loads((tmp_path / "a" / "folds.json").read_text()) == to_json(result)
    said: list[Event] = []
    assert cross_validate(SMALL, RECIPE, DATA, 3, tmp_path / "a", said.append) == result
    assert len(said) == 1


def test_each_folds_model_stays_and_gives_what_its_subjects_were_answered(tmp_path: Path) -> None:
    result = cross_validate(SMALL, RECIPE, DATA, 3, tmp_path, quiet)
    for number, row in enumerate(result.folds, 1):
        saved = checkpoint.load(tmp_path / fold_file(number))
        own = {p: told for p, told in result.persons.items() if told.fold == number}
        assert set(saved.facts.split.validation) == set(own)
        assert saved.processor.thresholds == row.thresholds
        recordings = [r for r in DATA.recordings if r.subject in own]
        answer = classify_windows(load_module(SMALL, saved))
        found = predict_recordings(answer, saved.processor, recordings)
        subjects = by_subject(saved.processor, [r.subject for r in recordings], found)
        for subject, told in own.items():
            assert subjects[subject].tolist() == pytest.approx(told.probabilities, abs=1e-6)
            assert saved.processor.postprocess(subjects[subject]) == told.answer


def test_a_finished_cross_validation_is_not_replaced_by_another(tmp_path: Path) -> None:
    cross_validate(SMALL, RECIPE, DATA, 3, tmp_path, quiet)
    before = content(tmp_path)
    other = replace(RECIPE, seed=RECIPE.seed + 1)
    for recipe, folds, what in ((RECIPE, 2, "number of folds"), (other, 3, "recipe")):
        with pytest.raises(CheckpointError, match=f"another {what}"):
            cross_validate(SMALL, recipe, DATA, folds, tmp_path, quiet)
    assert content(tmp_path) == before


def test_a_lost_model_of_a_fold_is_trained_again(tmp_path: Path) -> None:
    cross_validate(SMALL, RECIPE, DATA, 3, tmp_path / "a", quiet)
    with pytest.raises(KeyboardInterrupt):
        cross_validate(SMALL, RECIPE, DATA, 3, tmp_path / "b", _until("fold 2/3"))
    (tmp_path / "b" / fold_file(1)).unlink()
    cross_validate(SMALL, RECIPE, DATA, 3, tmp_path / "b", quiet)
    assert content(tmp_path / "b") == content(tmp_path / "a")


def _until(title: str) -> Callable[[Event], None]:
    """A `Report` that interrupts at the first event of ``title``."""

    def report(event: Event) -> None:
        if getattr(event, "title", "") == title:
            raise KeyboardInterrupt

    return report


def test_a_subjects_own_label_does_not_move_the_model_that_judges_them(tmp_path: Path) -> None:
    result = cross_validate(SMALL, RECIPE, DATA, 3, tmp_path / "a", quiet)
    judged = [subject for subject, row in result.persons.items() if row.fold == 1]
    relabelled = tuple(
        replace(r, load=lambda: (np.ones(500, np.float32), RATE)) if r.subject in judged else r
        for r in DATA.recordings
    )
    other = cross_validate(
        SMALL, RECIPE, replace(DATA, recordings=relabelled), 3, tmp_path / "b", quiet
    )
    assert other.folds[0].thresholds == result.folds[0].thresholds


def test_a_recording_too_short_for_a_window_is_left_out_and_said(tmp_path: Path) -> None:
    short = replace(DATA.recordings[0], load=lambda: (np.ones(50, np.float32), RATE))
    data = replace(DATA, recordings=(short, *DATA.recordings[1:]))
    said: list[Event] = []
    saved = train(SMALL, RECIPE, data, tmp_path / "run", said.append)
    assert saved.facts.left_out == (short.id,)
    assert any(short.id in text and "0.50 s" in text for text in saved.facts.warnings)
    assert any(short.id in getattr(event, "text", "") for event in said)


def test_a_recording_that_cannot_be_read_stops_the_run(tmp_path: Path) -> None:
    def broken() -> tuple[np.ndarray, int]:
        raise DataError("x.wav is truncated")

    data = replace(
        DATA, recordings=(replace(DATA.recordings[0], load=broken), *DATA.recordings[1:])
    )
    with pytest.raises(DataError, match="truncated"):
        train(SMALL, RECIPE, data, tmp_path / "run", quiet)


def test_weights_of_another_model_are_refused_by_name(whole: Path) -> None:
    saved = checkpoint.load(whole)
    module = load_module(SMALL, saved)
    assert not module.training
    other = replace(SMALL, name="other", build=lambda classes: nn.Linear(3, classes))
    with pytest.raises(CheckpointError, match=r"'other'.*weight is missing"):
        load_module(other, saved)
    wider = {**saved.weights, "linear.weight": np.zeros((3, 9), np.float32)}
    with pytest.raises(CheckpointError, match=r"linear.weight is \[3, 9\] instead of \[3, 8\]"):
        load_module(SMALL, replace(saved, weights=wider))


def test_the_recipe_may_change_hop_and_aggregation_but_not_the_window(tmp_path: Path) -> None:
    recipe = replace(RECIPE, decision=DecisionRecipe(window_s=2.0, hop_s=0.5, aggregation="max"))
    saved = train(SMALL, recipe, DATA, tmp_path / "run", quiet)
    assert (saved.processor.hop, saved.processor.aggregation) == (50, "max")
    for bad in (
        DecisionRecipe(window_s=3.0),
        DecisionRecipe(hop_s=-1.0),
        DecisionRecipe(aggregation="median"),
    ):
        with pytest.raises(RecipeError, match="decision"):
            train(SMALL, replace(RECIPE, decision=bad), DATA, tmp_path / "other", quiet)
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    "bad",
    [
        {"class_weights": (1.0, 2.0)},
        {"class_weights": (1.0, 2.0, 0.0)},
        {"threshold_folds": 1},
        {"validation_fraction": 1.0},
        {"epochs": 0},
        {"batch_size": -1},
        {"learning_rate": 0.0},
    ],
    ids=str,
)
def test_values_that_cannot_be_trained_with_are_named(tmp_path: Path, bad: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match=next(iter(bad))):
        train(SMALL, replace(RECIPE, train=TrainRecipe(**bad)), DATA, tmp_path / "run", quiet)


def test_one_cycle_rises_to_its_peak_and_falls_to_nearly_nothing() -> None:
    rates = [one_cycle(step, 100, 0.01) for step in range(100)]
    assert rates[0] == pytest.approx(0.01 / 25)
    assert max(rates) == pytest.approx(0.01)
    assert rates.index(max(rates)) == 29
    assert rates[-1] == pytest.approx(0.01 / 1e5)
    assert rates[:30] == sorted(rates[:30])
    assert rates[29:] == sorted(rates[29:], reverse=True)
    assert all(0 < one_cycle(0, steps, 0.01) <= 0.01 for steps in (1, 2, 3))
