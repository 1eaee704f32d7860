from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from tinyml.core import checkpoint
from tinyml.core.checkpoint import Checkpoint
from tinyml.core.errors import CheckpointError
from tinyml.core.recipe import Recipe
from tinyml.core.recording_processor import RecordingProcessor
from tinyml.core.spec import Signature, TensorSpec


@pytest.fixture
def small() -> Checkpoint:
    return Checkpoint(
        model="funnelnet",
        weights={"b": np.arange(3.0), "a": np.ones((2, 2), np.float32)},
        signature=Signature((TensorSpec("x", (1, 2)),), (TensorSpec("y", (1,)),)),
        processor=RecordingProcessor(("yes", "no"), 2, 1, 100, thresholds=(0.5,)),
        recipe=Recipe("r", "funnelnet"),
        facts={"uar": 0.5},
    )


def test_a_checkpoint_is_read_as_it_was_saved(small: Checkpoint, tmp_path: Path) -> None:
    small.save(tmp_path / checkpoint.FILE)
    for path in (tmp_path, tmp_path / checkpoint.FILE):
        read = checkpoint.load(path)
        assert (read.model, read.signature, read.processor) == (
            small.model,
            small.signature,
            small.processor,
        )
        assert (read.recipe, read.facts) == (small.recipe, small.facts)
        assert all(np.array_equal(read.weights[k], v) for k, v in small.weights.items())


def test_the_same_content_gives_the_same_bytes(small: Checkpoint, tmp_path: Path) -> None:
    small.save(tmp_path / "one")
    checkpoint.load(tmp_path / "one").save(tmp_path / "two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_pickle_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(pickle.dumps({"a": 1}, protocol=4))
    with pytest.raises(CheckpointError, match="pickle") as caught:
        checkpoint.load(path)
    assert "safetensors" in caught.value.hint


def test_a_truncated_file_is_named(small: Checkpoint, tmp_path: Path) -> None:
    path = tmp_path / "short"
    small.save(path)
    data = path.read_bytes()
    for size in (0, 4, 60, len(data) - 1):
        path.write_bytes(data[:size])
        with pytest.raises(CheckpointError, match="not a whole safetensors file"):
            checkpoint.load(path)


def test_foreign_newer_and_missing_files_are_told_apart(
    small: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_file({"a": np.ones(1)}, tmp_path / "foreign")
    with pytest.raises(CheckpointError, match="not a checkpoint of tinyml"):
        checkpoint.load(tmp_path / "foreign")
    with pytest.raises(CheckpointError, match="no checkpoint at"):
        checkpoint.load(tmp_path)
    monkeypatch.setattr(checkpoint, "SCHEMA", 3)
    small.save(tmp_path / "later")
    with pytest.raises(CheckpointError, match="later has schema 3, this tinyml reads up to 2"):
        checkpoint.load(tmp_path / "later")


@pytest.mark.parametrize(
    ("cut", "message"),
    [
        ("recipe", "cut: object missing required field 'recipe'"),
        ("signature", "cut: object missing required field 'signature'"),
        ("schema", "cut has no schema number"),
        ("list", "cut has no schema number"),
        ("half", "cut is not JSON"),
        ("deep", "cut: its values are nested too deeply"),
    ],
)
def test_a_header_that_is_not_whole_is_told(
    small: Checkpoint, tmp_path: Path, cut: str, message: str
) -> None:
    small.save(tmp_path / "whole")
    metadata, weights = checkpoint.read_safetensors(tmp_path / "whole")
    header = json.loads(metadata[checkpoint.KEY])
    header.pop(cut, None)
    text = {"half": json.dumps(header)[:99], "list": "[]", "deep": "[" * 99_999}.get(cut)
    save_file(weights, tmp_path / "cut", {checkpoint.KEY: text or json.dumps(header)})
    with pytest.raises(CheckpointError, match=message):
        checkpoint.load(tmp_path / "cut")


@pytest.mark.parametrize("length", [0x280, 0x380, 0x480, 0x580])
def test_a_header_whose_length_looks_like_a_pickle_is_read(tmp_path: Path, length: int) -> None:
    from safetensors.numpy import save_file

    weights = {"w": np.arange(4, dtype=np.float32)}
    for filling in range(length):
        save_file(weights, tmp_path / "w.safetensors", {"filling": "x" * filling})
        start = (tmp_path / "w.safetensors").read_bytes()[:8]
        if int.from_bytes(start, "little") == length:
            break
    else:
        pytest.fail("no header has that length")
    _, found = checkpoint.read_safetensors(tmp_path / "w.safetensors")
    np.testing.assert_array_equal(found["w"], weights["w"])
