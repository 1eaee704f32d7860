"""``tinyml prune``: what it makes, what it says, what it refuses."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tinyml.core import checkpoint
from tinyml.core.recipe import DataRecipe
from tinyml.core.registry import PRUNING_METHODS

Cli = Callable[..., "subprocess.CompletedProcess[str]"]
GRADUAL = ("--method", "gradual", "--sparsity", "0.75")


@pytest.fixture(scope="module")
def pruned(image_run: Path, cli: Cli, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("pruned") / "run"
    done = cli("prune", image_run, *GRADUAL, "--block", 4, "--distill", 0.5, "--out", out)
    assert done.returncode == 0, done.stderr
    assert "run dense" in done.stderr
    assert "onnxruntime" in done.stderr
    return out


def test_a_pruned_run_has_zeros_in_blocks_of_pointwise_layers_alone(pruned: Path) -> None:
    saved = checkpoint.load(pruned)
    zeros = {n: v == 0 for n, v in saved.weights.items() if n.endswith("weight") and v.ndim == 4}
    pointwise = {n: z for n, z in zeros.items() if "pointwise" in n}
    assert pointwise
    assert not any(zero.any() for name, zero in zeros.items() if name not in pointwise)
    for zero in pointwise.values():
        blocks = zero.reshape(-1, 4, *zero.shape[1:])
        assert (blocks.all(axis=1) == blocks.any(axis=1)).all()
    share = np.concatenate([zero.ravel() for zero in pointwise.values()]).mean()
    assert share == pytest.approx(0.75, abs=0.01)


def test_the_page_shows_layers_and_masks_and_needs_nothing_else(pruned: Path) -> None:
    page = (pruned / "pruning.html").read_text(encoding="utf-8")
    masks = page.count("data:image/png;base64,")
    assert masks == page.count('alt="kept weights of ') > 2
    assert "Sparsity and validation accuracy of" in page
    assert "stage1.0.pointwise" in page
    assert "http:" not in page
    assert "https:" not in page


def test_the_same_command_again_changes_nothing(pruned: Path, image_run: Path, cli: Cli) -> None:
    before = (pruned / checkpoint.FILE).read_bytes()
    done = cli("prune", image_run, *GRADUAL, "--block", 4, "--distill", 0.5, "--out", pruned)
    assert done.returncode == 0, done.stderr
    assert (pruned / checkpoint.FILE).read_bytes() == before


def test_a_pruned_run_is_exported_with_its_zeros_and_the_lint_says_they_run_dense(
    pruned: Path, cli: Cli, tmp_path: Path
) -> None:
    out = tmp_path / "bundle"
    done = cli("export", pruned, "--target", "rpi", "--formats", "tflite", "--out", out)
    assert done.returncode == 0, done.stderr
    ((path, findings),) = json.loads((out / "manifest.json").read_text())["facts"]["lint"].items()
    assert path.endswith(".tflite")
    assert "pruned_but_dense" in {finding["rule"] for finding in findings}


def test_a_dry_run_prints_the_plan_and_writes_nothing(
    image_run: Path, cli: Cli, cli_process: Cli
) -> None:
    before = sorted(path.name for path in image_run.parent.iterdir())
    done = cli("prune", image_run, *GRADUAL, "--dry-run", "--json")
    assert done.returncode == 0, done.stderr
    plan = json.loads(done.stdout)
    assert sorted(path.name for path in image_run.parent.iterdir()) == before
    shares = {row["name"]: row["sparsity"] for row in plan["layers"]}
    assert {share for name, share in shares.items() if "pointwise" in name} == {0.75}
    assert plan["effective_macs"] < plan["macs"]
    assert plan["packed_bytes"] < plan["file_bytes"]
    assert plan["nonzero"] * 4 < plan["file_bytes"]
    told = cli_process("prune", image_run, *GRADUAL, "--dry-run")
    assert f"effective {plan['effective_macs']:,}" in told.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--method", "gradual", "--sparsity", "1.0"), 3, "sparsity is 1"),
        (("--method", "gradual"), 3, "sparsity is 0"),
        (("--method", "gradul", "--sparsity", "0.5"), 2, "did you mean 'gradual'"),
        ((*GRADUAL, "--block", "3"), 3, "block of 3"),
        ((*GRADUAL, "--layers", "head*", "--block", "4"), 3, "10 output channels"),
        ((*GRADUAL, "--layers", "nothing"), 3, "no layer to prune"),
        (("--method", "lottery", "--sparsity", "0.5", "--control", "reinit"), 3, "lottery ticket"),
        (("--method", "lottery", "--sparsity", "0.5", "--rewind-step", "999"), 3, "rewind_step"),
        (("--method", "magnitude", "--sparsity", "0.5", "--distill", "1.5"), 3, "distill_weight"),
    ],
)
def test_what_cannot_be_pruned_is_one_line_and_nothing_is_written(
    image_run: Path, cli: Cli, tmp_path: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    out = tmp_path / "out"
    done = cli("prune", image_run, *arguments, "--out", out)
    assert done.returncode == code, done.stderr
    lines = [line for line in done.stderr.splitlines() if not line.startswith("warning: ")]
    assert lines[0].startswith("error: ")
    assert len(lines) <= 2
    assert words in done.stderr
    assert not (out / checkpoint.FILE).exists()


def test_another_methods_checkpoint_and_enough_zeros_are_refused(
    pruned: Path, cli: Cli, tmp_path: Path
) -> None:
    for arguments, words in (
        (("--method", "magnitude", "--sparsity", "0.9"), "pruned by 'gradual' already"),
        (("--method", "gradual", "--sparsity", "0.5"), "pruned to 0.75 already"),
    ):
        done = cli("prune", pruned, *arguments, "--out", tmp_path / "out")
        assert done.returncode == 3
        assert words in done.stderr
        assert not (tmp_path / "out").exists()


def test_pruned_layers_that_are_not_named_again_would_fill_up_and_are_refused(
    pruned: Path, cli: Cli, tmp_path: Path
) -> None:
    done = cli(
        "prune",
        pruned,
        "--method",
        "gradual",
        "--sparsity",
        0.9,
        "--layers",
        "*stage1*",
        "--out",
        tmp_path / "out",
    )
    assert done.returncode == 3
    assert "would fill up again" in done.stderr


def test_other_data_than_the_parents_is_refused(image_run: Path, cli: Cli, tmp_path: Path) -> None:
    parent = checkpoint.load(image_run)
    options = {"limit": 30, "test_limit": 6}
    other = replace(parent, recipe=replace(parent.recipe, data=DataRecipe("shapes", options)))
    other.save(tmp_path / "other" / checkpoint.FILE)
    done = cli("prune", tmp_path / "other", *GRADUAL, "--out", tmp_path / "out")
    assert done.returncode == 3
    assert "was trained on other data" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_control_takes_its_tickets_masks_and_nothing_else(
    image_run: Path, cli: Cli, tmp_path: Path
) -> None:
    ticket, asked = tmp_path / "ticket", ("--method", "lottery", "--sparsity", 0.2)
    done = cli("prune", image_run, *asked, "--out", ticket)
    assert done.returncode == 0, done.stderr
    done = cli(
        "prune", ticket, *asked, "--control", "reinit", "--block", 2, "--out", tmp_path / "a"
    )
    assert done.returncode == 3
    assert "takes its ticket's masks: block is 1 there" in done.stderr
    done = cli("prune", ticket, *asked, "--control", "reinit", "--out", tmp_path / "b")
    assert done.returncode == 0, done.stderr
    done = cli("prune", tmp_path / "b", *asked, "--control", "reinit", "--out", tmp_path / "c")
    assert done.returncode == 3
    assert "is not a lottery ticket" in done.stderr


def test_out_is_asked_for_unless_it_is_a_dry_run(image_run: Path, cli: Cli) -> None:
    done = cli("prune", image_run, *GRADUAL)
    assert done.returncode == 2
    assert "--out is missing" in done.stderr


def test_a_model_of_recordings_is_pruned_too_and_keeps_its_thresholds(
    small_run: Path, cli: Cli, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(small_run, tmp_path / "dense"))
    done = cli(
        "prune",
        run,
        "--method",
        "magnitude",
        "--sparsity",
        "0.5",
        "--layers",
        "pointwise",
        "--out",
        tmp_path / "out",
    )
    assert done.returncode == 0, done.stderr
    before, after = checkpoint.load(run), checkpoint.load(tmp_path / "out")
    assert after.processor == before.processor
    assert after.facts.pruning.sparsity == pytest.approx(0.5, abs=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("method", sorted(PRUNING_METHODS))
def test_every_method_goes_through_the_parity_gate(
    method: str, image_run: Path, cli: Cli, tmp_path: Path
) -> None:
    run, out = tmp_path / "run", tmp_path / "bundle"
    done = cli("prune", image_run, "--method", method, "--sparsity", 0.5, "--out", run)
    assert done.returncode == 0, done.stderr
    done = cli("export", run, "--target", "rpi", "--out", out)
    assert done.returncode == 0, done.stderr
    assert "images agree" in done.stdout
