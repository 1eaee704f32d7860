"""A run that was stopped anywhere ends in the same bytes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_training import (
    DATA,
    RECIPE,
    SMALL,
    Small,
    Stop,
    content,
    quiet,
    tones,
)

from tinyml.core import checkpoint
from tinyml.core.errors import CheckpointError, UsageError
from tinyml.core.events import Event
from tinyml.core.files import temporary
from tinyml.core.folders import lock
from tinyml.models.training.recordings import train


def test_a_run_leaves_its_checkpoint_and_curve(whole: Path) -> None:
    assert sorted(content(whole)) == ["checkpoint.safetensors", "curve.json"]
    assert os.listdir(whole.parent) == ["run"]
    saved = checkpoint.load(whole)
    curve = json.loads((whole / "curve.json").read_text())
    assert [row["epoch"] for row in curve] == [1, 2, 3]
    assert all({"loss", "validation_loss"} <= set(row) for row in curve)
    assert saved.facts["curve"] == curve
    assert saved.facts["threads"] == 1
    assert saved.facts["instruction_set"] == torch.backends.cpu.get_cpu_capability()
    assert saved.facts["parameters"] == sum(p.numel() for p in Small(3).parameters())
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
from small_training import DATA, RECIPE, SMALL
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
    assert saved.facts["instruction_set"] == "OTHER"


def test_two_runs_in_one_folder_at_once_are_refused(tmp_path: Path) -> None:
    with lock(tmp_path / "run"), pytest.raises(UsageError, match="another process"):
        train(SMALL, RECIPE, DATA, tmp_path / "run", quiet)
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is a file"):
        train(SMALL, RECIPE, DATA, tmp_path / "file", quiet)
