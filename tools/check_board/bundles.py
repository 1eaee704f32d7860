"""The bundles that boards are given: a small network in three precisions and both formats."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from emulated_board.parts import FOLDER

from check_board import network
from tinyml.core.code_digest import code_digest

TARGET = "rpi4"
PRECISIONS = ("fp32", "fp16", "w8a8-static")
SAMPLES = 32


def own_bundles(report: Callable[[str], None]) -> list[Path]:
    """A bundle for each precision, exported where our code has changed since."""
    return [_bundle(precision, report) for precision in PRECISIONS]


def _bundle(precision: str, report: Callable[[str], None]) -> Path:
    path = FOLDER / f"bundles-{_key()}" / precision
    if path.exists():
        return path
    from tinyml import build_bundle

    report(f"exporting {precision}")
    samples = network.images(SAMPLES)
    build_bundle(
        network.network(),
        {"image": samples[0]},
        TARGET,
        out=path,
        name="board",
        calibration=None if precision.startswith("fp") else {"image": samples},
        precision=precision,
        formats=("onnx", "tflite"),
    )
    return path


def _key() -> str:
    text = Path(network.__file__).read_bytes()
    code = code_digest("modelfile", "export", "runtimes", "pipeline")
    return hashlib.sha256(text + code.encode()).hexdigest()[:12]
