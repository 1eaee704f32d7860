"""``tinyml targets NAME``: what is known of a board, and what that decides."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tinyml.core import cpu_features
from tinyml.core.target import find_target
from tinyml.pipeline.explain_target import explain, explanation_text

Cli = Callable[..., Any]
PI_5 = """\
rpi5: Raspberry Pi 5
CPU         cortex-a76, aarch64, 4 cores
int8        asimddp: dot products (SDOT), four products in a lane at once
float16     asimdhp: arithmetic in float16
sparse      asimd: XNNPACK has sparse kernels for pruned 1x1 convolutions
memory      1,024 MB: a model whose activations need more at once is refused
pages       16 KiB: link native code with -z max-page-size=16384 or more
threads     4, unless tinyml bench --threads is given
"""


def test_a_board_is_explained_and_its_systems_are_listed(cli: Cli) -> None:
    shown = cli("targets", "rpi5").stdout
    assert shown.startswith(PI_5)
    assert "bookworm    3.11   2.3.0       1.32.0" in shown
    assert "bullseye" not in shown


def test_boards_are_explained_differently() -> None:
    pages = {name: explanation_text(explain(find_target(name))) for name in ("rpi4", "rpi5")}
    assert "int8        asimd: no dot products" in pages["rpi4"]
    assert "bullseye     3.9   2.1.0       1.19.2" in pages["rpi4"]
    assert "4 KiB" in pages["rpi4"]
    assert "onnx, tflite: an export writes all" in pages["rpi4"]
    android = explanation_text(explain(find_target("android")))
    assert "an export writes tflite (an app needs one runtime" in android
    assert "not known: no model is refused" in android


def test_json_has_the_facts_and_what_follows(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'board = "Mine"\narch = "aarch64"\ncpu = "c"\nmemory_mb = 64\n'
        '[systems.s]\nruntimes = { tflite-runtime = "2.13.0" }\n'
    )
    found = json.loads(cli("targets", path, "--json").stdout)
    assert (found["name"], found["runs"], found["written"]) == ("mine", ["tflite"], ["tflite"])
    assert found["newest_runtimes"] == {"tflite-runtime": "2.13.0"}
    assert found["kernels"] == []


def test_an_unknown_target_is_a_usage_error(cli: Cli) -> None:
    done = cli("targets", "rpi6")
    assert (done.returncode, "unknown target 'rpi6'" in done.stderr) == (2, True)


@pytest.mark.parametrize("name", ["rpi4", "rpi5", "rpi-zero2w", "android", "host"])
def test_a_page_fits_80_columns(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    page = explanation_text(explain(find_target(name)))
    assert [line for line in page.splitlines() if len(line) > 80] == []


def test_every_feature_with_a_meaning_is_one_that_is_looked_for() -> None:
    assert {row.feature for row in cpu_features.MEANINGS} <= cpu_features.KNOWN
    for target in map(find_target, ("rpi4", "rpi5", "android")):
        assert {row.what for row in cpu_features.kernels(target.cpu_features)} == {
            "int8",
            "float16",
            "sparse",
        }
