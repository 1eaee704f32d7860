"""The bundles that boards are given: one small network that listens to heart sounds, trained once.

They are kept in ``build/boards`` until the code that makes them changes.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

from emulated_board.parts import FOLDER
from small_recipes import SOUNDS

from test_device.workplace import Workplace
from tinyml.core.code_digest import code_digest

PRECISIONS = {"fp32": "fp32", "int8": "w8a8-static"}
# Boards listen by the streaming graphs.
MORE = ("--streaming",)


def bundle(place: Workplace, target: str, precision: str, report: Callable[[str], None]) -> Path:
    """The bundle for ``target`` in ``precision``, a name of `PRECISIONS`, in both formats.

    A phone's has one: it runs .tflite files alone.
    """
    path = _folder() / f"{target}-{precision}"
    if not path.exists():
        report(f"exporting {path.name}")
        formats = "tflite" if target == "android" else "onnx,tflite"
        draft = path.with_suffix(".draft")
        shutil.rmtree(draft, ignore_errors=True)
        place.tinyml(
            *("export", _run(place, report), "--target", target, "--out", draft),
            *("--precision", PRECISIONS[precision], "--formats", formats),
            *(() if target == "android" else MORE),
        )
        draft.rename(path)
    own = place.folder / path.name
    if not own.exists():  # Benchmarks are written next to it.
        shutil.copytree(path, own)
    return own


def trained_run() -> Path:
    """The run that the bundles are exported from."""
    return _folder() / "run"


def _run(place: Workplace, report: Callable[[str], None]) -> Path:
    run = trained_run()
    if not run.exists():
        report("training a small network")
        recipe = place.folder / "small.toml"
        recipe.write_text(SOUNDS, encoding="utf-8")
        draft = run.with_suffix(".draft")
        shutil.rmtree(draft, ignore_errors=True)
        place.tinyml("train", recipe, "--out", draft)
        draft.rename(run)
    return run


def _folder() -> Path:
    code = code_digest("core", "modelfile", "models", "export", "runtimes", "pipeline")
    key = hashlib.sha256(f"{SOUNDS}{MORE}{code}".encode()).hexdigest()[:12]
    folder = FOLDER / f"device-bundles-{key}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
