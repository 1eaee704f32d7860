"""The scripts that are copied into bundles: what they import, and what Python they need."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from tinyml import board_scripts
from tinyml.board_scripts import run

RUNTIMES = {"ai_edge_litert", "tflite_runtime", "onnxruntime"}
STANDARD = {"hashlib", "json", "os", "pathlib", "sys", "typing", "wave"}


@pytest.mark.parametrize("path", [board_scripts.RUN, board_scripts.REPRO], ids=lambda p: p.name)
def test_a_script_imports_numpy_and_runtimes_alone(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 9))
    found = set()
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        found |= {name.partition(".")[0] for name in names}
    # Pillow reads photographs; the captured program needs torch: both only where asked for.
    assert found - STANDARD - RUNTIMES <= {"numpy", "PIL", "torch"}
    top = {name for node in tree.body if isinstance(node, ast.Import) for name in node.names}
    assert {name.name for name in top} <= STANDARD | {"numpy"}


def _bundle(folder: Path, processor: object) -> Path:
    (folder / "manifest.json").write_text(json.dumps({"processor": processor}))
    return folder


@pytest.mark.parametrize(
    ("processor", "kind", "files", "usage"),
    [
        (None, "arrays", ["a.npz", "b.npz"], "usage: run.py [INPUTS.npz]"),
        ({"kind": "image"}, "images", [], "usage: run.py FILE..."),
        ({"rate_hz": 4000}, "recordings", ["a.wav", "b.wav"], "usage: run.py FILE.wav"),
    ],
)
def test_the_manifest_tells_what_the_command_line_takes(
    processor: object,
    kind: str,
    files: list[str],
    usage: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run, "__file__", str(_bundle(tmp_path, processor) / "run.py"))
    assert run.kind_of({"processor": processor}) == kind
    with pytest.raises(SystemExit) as caught:
        run.main(files)
    assert caught.value.code == usage


def test_an_order_of_axes_is_undone() -> None:
    import numpy as np

    from tinyml.board_scripts.repro import in_order

    want = np.arange(24).reshape(1, 2, 3, 4)
    stored = want[0].transpose(1, 2, 0)
    assert (in_order(stored, {"order": [-1, 2, 0, 1]}, want) == want).all()
    assert in_order(want, {"order": None}, want) is want
