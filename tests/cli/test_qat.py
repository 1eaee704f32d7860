"""``tinyml train --qat``: what it makes, what becomes of it, and what it refuses."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tinyml.core import checkpoint
from tinyml.core.errors import CheckpointError
from tinyml.core.export_job import export_job
from tinyml.pipeline.export import export
from tinyml.pipeline.prune import PruneJob, prune
from tinyml.pipeline.qat import QatJob, train_rounded

Cli = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def tuned(small_run: Path, cli: Cli, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("qat") / "run"
    done = cli("train", "--qat", small_run, "--out", out)
    assert done.returncode == 0, done.stderr
    assert "Failed to load" not in done.stderr
    return out


def test_a_run_goes_on_from_its_parent_and_says_so(tuned: Path, small_run: Path) -> None:
    before, after = checkpoint.load(small_run), checkpoint.load(tuned)
    assert after.facts.parent_sha256 == before.weights_sha256
    assert after.recipe.export.precision == "qat-w8a8"
    assert after.recipe.train.epochs == 1
    assert after.processor == before.processor
    moved = [n for n, v in before.weights.items() if np.any(v != after.weights[n])]
    assert any(name.startswith("squeeze") for name in moved)
    assert not any(name.startswith(("filter_bank", "normalization")) for name in moved)
    told: list[str] = []
    train_rounded(
        QatJob(small_run, {}), tuned, lambda event: told.append(getattr(event, "text", ""))
    )
    assert any("finished already" in text for text in told)


@pytest.mark.parametrize("fmt", ["onnx", pytest.param("tflite", marks=pytest.mark.slow)])
def test_its_files_are_integers_planned_like_others(tuned: Path, fmt: str, tmp_path: Path) -> None:
    job = export_job(str(tuned), "rpi", tmp_path / "bundle", formats=(fmt,))
    (model,) = export(job, lambda event: None).models
    assert model.precision == "qat-w8a8"
    assert model.plan.data == "the training part of synthetic"
    schemes = [own.scheme for own in model.plan.tensors.values()]
    assert schemes.count("int8") > 10
    assert "front end, up to 'normalization'" in model.plan.kept.values()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("train", "--out", "x"), 2, "a recipe or --qat CHECKPOINT is needed"),
        (("train", "synthetic", "--qat", "{run}", "--out", "x"), 2, "and not both"),
        (("train", "synthetic", "--epochs", "3", "--out", "x"), 2, "--epochs is for --qat"),
        (("train", "--qat", "{run}", "--folds", "2", "--out", "x"), 2, "--folds trains a recipe"),
        (("train", "--qat", "nowhere", "--out", "x"), 3, "no checkpoint at nowhere"),
        (("train", "--qat", "{run}", "--epochs", "0", "--out", "x"), 3, "must be positive"),
        (("train", "aware.toml", "--out", "x"), 3, "needs a trained network to begin with"),
        (
            ("export", "{run}", "--precision", "qat-w8a8", "--target", "rpi", "--out", "x"),
            2,
            "qat-w8a8 needs weights from quantization-aware fine-tuning",
        ),
    ],
)
def test_what_cannot_be_meant_is_one_line_and_nothing_is_written(
    arguments: tuple[str, ...],
    code: int,
    said: str,
    small_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from tinyml.cli.main import app

    monkeypatch.chdir(tmp_path)
    Path("aware.toml").write_text('model = "funnelnet"\n[export]\nprecision = "qat-w8a8"\n')
    given = [argument.format(run=small_run) for argument in arguments]
    with pytest.raises(SystemExit) as stopped:
        app(given)
    assert stopped.value.code == code
    assert said in capsys.readouterr().err
    assert not (Path("x") / checkpoint.FILE).exists()


def test_eight_bits_are_not_trained_twice_nor_pruned(tuned: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="went through quantization-aware fine-tuning"):
        train_rounded(QatJob(tuned, {}), tmp_path / "x", lambda event: None)
    asked = PruneJob(tuned, {"method": "magnitude", "sparsity": 0.5}, {})
    with pytest.raises(CheckpointError, match="went through quantization-aware fine-tuning"):
        prune(asked, tmp_path / "x", lambda event: None)
    assert not (tmp_path / "x").exists()
