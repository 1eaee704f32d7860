"""``tinyml inspect --sparse`` as users type it: the verdict is no failure unless it is required."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        (("--target", "rpi4", "--runtime", "nonsense"), 2, "unknown runtime 'nonsense'"),
        (
            ("--target", "rpi-zero2w", "--runtime", "litert-web"),
            2,
            "there is no litert-web for rpi-zero2w",
        ),
        (("--target", "rpi4", "--runtime-version", "0.1"), 2, "nothing is known of litert 0.1"),
        (("--target", "nowhere"), 2, "unknown target 'nowhere'"),
        ((), 2, "--sparse needs a target"),
        (("--target", "host", "--require-sparse"), 5, "does not run it sparse"),
    ],
)
def test_what_cannot_be_asked_is_one_line_with_a_hint(
    cli: Cli, small_bundle: Path, given: tuple[str, ...], code: int, said: str
) -> None:
    done = cli("inspect", "--sparse", small_bundle, *given)
    assert done.returncode == code
    error, hint = done.stderr.strip().splitlines()
    assert error.startswith("error: ")
    assert said in error
    assert hint.startswith("hint: ")


def test_the_runtimes_of_a_target_are_listed(cli: Cli, small_bundle: Path) -> None:
    asked = ("--target", "rpi-zero2w", "--runtime", "litert-web")
    assert "litert, mnn, ort" in cli("inspect", "--sparse", small_bundle, *asked).stderr


def test_a_verdict_is_required_of_what_was_asked_alone(cli: Cli, small_bundle: Path) -> None:
    done = cli("inspect", small_bundle, "--require-sparse")
    assert done.returncode == 2
    assert "is for --sparse" in done.stderr


def test_a_broken_file_is_named(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "model.tflite").write_bytes(b"no model")
    done = cli("inspect", "--sparse", "--target", "rpi4", tmp_path / "model.tflite")
    assert done.returncode == 3
    assert "model.tflite" in done.stderr


def test_a_folder_that_is_no_bundle_is_bad_input(cli: Cli, tmp_path: Path) -> None:
    done = cli("inspect", "--sparse", "--target", "rpi4", tmp_path)
    assert done.returncode == 3
    assert done.stderr.endswith(
        "is not a bundle: it has no manifest.json\nhint: give what tinyml export wrote\n"
    )


def test_a_verdict_is_no_failure(cli: Cli, small_bundle: Path) -> None:
    done = cli("inspect", "--sparse", "--target", "rpi4", "--json", small_bundle)
    assert done.returncode == 0
    assert json.loads(done.stdout)["sparse"]["uses_sparse_kernels"] is False
