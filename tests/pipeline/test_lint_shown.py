"""Lint is in the manifest, in what inspect says, and on a few lines at export."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tinyml.pipeline.steps.lint import LINES, lint_lines

FINDING = {"rule": "repeated_slices", "node": "x", "cost": "9 slices", "fix": "one convolution"}


def test_the_manifest_has_the_findings_of_every_file(small_bundle: Path) -> None:
    found = json.loads((small_bundle / "manifest.json").read_text())["facts"]["lint"]
    assert set(found) == {"funnelnet-fp32.onnx", "funnelnet-fp32.tflite"}
    assert {finding["rule"] for findings in found.values() for finding in findings} == {
        "small_epsilons"
    }


def test_inspect_shows_the_findings_of_a_file(
    small_bundle: Path, cli: Any, cli_process: Any
) -> None:
    path = small_bundle / "funnelnet-fp32.tflite"
    (finding,) = json.loads(cli("inspect", path, "--json").stdout)["lint"]
    assert set(finding) == {"rule", "node", "cost", "fix"}
    words = " ".join(cli_process("inspect", path).stdout.split())
    assert finding["cost"] in words
    assert finding["fix"] in words


def test_inspect_shows_the_findings_of_a_bundle_with_their_files(
    small_bundle: Path, cli: Any
) -> None:
    found = json.loads(cli("inspect", small_bundle, "--json").stdout)["lint"]
    assert {row["file"] for row in found} == {"funnelnet-fp32.onnx", "funnelnet-fp32.tflite"}


def test_at_export_there_is_a_line_for_each_of_the_first_findings() -> None:
    found = {"m.onnx": [FINDING] * (LINES + 2), "clean.tflite": []}
    lines = lint_lines(found)
    assert lines[0] == "lint: m.onnx: repeated_slices at x\n  9 slices; one convolution"
    assert lines[LINES:] == ["lint: m.onnx: 2 more: tinyml inspect shows them"]
