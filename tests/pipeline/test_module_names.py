"""Layers of a bundle's files are shown under the names of the user's submodules."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

from tinyml.core import bundle as bundles
from tinyml.pipeline.module_names import modules_of

Cli = Callable[..., "subprocess.CompletedProcess[str]"]


def test_the_manifest_names_the_submodule_of_every_layer(small_bundle: Path) -> None:
    for model in bundles.read(small_bundle).models:
        assert model.modules == modules_of(small_bundle / model.path)
        assert "" not in model.modules.values()
        assert any("." in name for name in model.modules.values())


def test_inspect_shows_submodules_and_json_both_names(small_bundle: Path, cli: Cli) -> None:
    for name in ("funnelnet-fp32.tflite", "funnelnet-fp32.onnx"):
        layers = json.loads(cli("inspect", small_bundle / name, "--json").stdout)["layers"]
        named = [layer for layer in layers if layer["module"]]
        assert len(named) > len(layers) / 2
        shown = cli("inspect", small_bundle / name).stdout.split()
        assert named[0]["module"] in shown


def test_sparse_verdicts_name_submodules_too(small_bundle: Path, cli: Cli) -> None:
    shown = cli("inspect", "--sparse", "--target", "rpi4", small_bundle).stdout.split()
    (model,) = (m for m in bundles.read(small_bundle).models if m.format == "tflite")
    assert set(model.modules.values()) & set(shown)


def test_a_file_alone_and_one_in_a_broken_bundle_have_none(
    bundle_copy: Path, tmp_path: Path
) -> None:
    assert modules_of(tmp_path / "net.onnx") == {}
    path = bundle_copy / bundles.MANIFEST
    data = json.loads(path.read_text())
    path.write_text(json.dumps({**data, "models": [{}]}))
    assert modules_of(bundle_copy / "funnelnet-fp32.onnx") == {}
