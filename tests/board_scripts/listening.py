"""A bundle that listens without a model: its runtime is NumPy, and computes what a test can too."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinyml.board_scripts import listen
from tinyml.core.recording_processor import RecordingProcessor
from tinyml.core.typed_json import to_json

RATE_HZ, WINDOW = 1000, 400
HEART = RecordingProcessor(("murmur", "none"), window=WINDOW, hop=200, rate_hz=RATE_HZ)
TONE = (0.4 * np.sin(np.arange(1000) / 5)).astype(np.float32)
# Two frames of 10 samples a call, three frames late.
RECORD = {
    "rate_hz": RATE_HZ,
    "granule_samples": 20,
    "frame_rate_hz": 100.0,
    "delay_frames": 3,
    "flush_samples": 30,
    "ring_frames": 40,
    "hop_frames": 20,
    "front_end": "streaming/front-end",
    "head": "streaming/head",
}
# An `ai_edge_litert` for a process of its own: see `classify`.
PACKAGE = """
import numpy as np

class Interpreter:
    def __init__(self, path):
        pass

    def get_signature_runner(self):
        def run(x):
            p = np.abs(x).mean(axis=1)
            return {"p": np.stack([p, 1 - p], axis=1)}
        return run
"""


def classify(x: Any) -> Any:
    """Any input -> probabilities of two labels."""
    p = np.abs(x).mean(axis=tuple(range(1, x.ndim))).astype(np.float32)
    return np.stack([p, 1 - p], axis=1)


def front_end(samples: Any, held: Any) -> dict[str, Any]:
    """Frames of four values from the samples of ``held`` [1, 30], the state, and ``samples``."""
    both = np.concatenate([held, samples], axis=1)
    parts = both[:, : samples.shape[1]].reshape(1, -1, 10)
    frames = np.stack([parts.mean(2), np.abs(parts).mean(2), parts.max(2), parts.min(2)], axis=2)
    return {"frames": frames, "kept": both[:, -held.shape[1] :]}


def engine(path: str) -> Callable[..., dict[str, Any]]:
    """In place of a runtime: what the file is follows from its name."""
    if Path(path).name == "front.tflite":
        return front_end
    return lambda **inputs: {"p": classify(*inputs.values())}


def bundle(folder: Path, *, streaming: bool = False, **processor: Any) -> Path:
    """What listen.py reads of a bundle."""
    signature = {"inputs": [{"name": "x"}], "outputs": [{"name": "p"}], "states": []}
    held = _folder(folder, "model.tflite", signature, processor={**to_json(HEART), **processor})
    if streaming:
        states = [{"input": "held", "output": "kept"}]
        spec = {"name": "held", "shape": [1, 30], "dtype": "float32"}
        front = {**signature, "inputs": [{"name": "samples"}, spec], "states": states}
        for name, file, own in (
            (RECORD["front_end"], "front.tflite", front),
            (RECORD["head"], "head.tflite", signature),
        ):
            _folder(folder / str(name), file, own, processor=None)
            held["files"] |= _listed(folder, f"{name}/manifest.json")
        held["facts"]["streaming"] = RECORD
    (folder / "manifest.json").write_text(json.dumps(held))
    return folder


def _folder(folder: Path, file: str, signature: Any, processor: Any) -> dict[str, Any]:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / file).write_bytes(b"model")
    held = {
        "models": [{"format": "tflite", "path": file, "quant_params": {}}],
        "signature": signature,
        "processor": processor,
        "facts": {},
        "files": _listed(folder, file),
    }
    (folder / "manifest.json").write_text(json.dumps(held))
    return held


def _listed(folder: Path, name: str) -> dict[str, Any]:
    content = (folder / name).read_bytes()
    return {name: {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}}


def pcm(samples: Any, form: str = "s16le") -> bytes:
    """Raw samples, as a recorder writes them."""
    if form == "f32le":
        return np.asarray(samples, "<f4").tobytes()
    return (np.asarray(samples) * 2**15).astype("<i2").tobytes()


class Listened:
    """What a run of listen.py printed, and its exit code."""

    def __init__(self, code: int, text: str) -> None:
        self.code = code
        self.lines = [json.loads(line) for line in text.splitlines()]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["kind"] == kind]

    @property
    def decisions(self) -> list[tuple[float, str, dict[str, float]]]:
        return [(d["time_s"], d["label"], d["probabilities"]) for d in self.of("decision")]

    @property
    def summary(self) -> dict[str, Any]:
        assert [line["kind"] for line in self.lines].count("summary") == 1
        assert self.lines[-1]["kind"] == "summary"
        return self.lines[-1]


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Listened]:
    """Run listen.py in this process, with `engine` as its runtime."""
    monkeypatch.setitem(listen.RUNTIMES, "litert", ("tflite", engine))

    def call(folder: Path, *arguments: object, stop: Any = None) -> Listened:
        out, words = io.StringIO(), [str(own) for own in arguments]
        try:
            code = listen.main(["--bundle", str(folder), *words], out, stop or listen.Stop())
        except SystemExit as ended:
            code = int(ended.code or 0)
        return Listened(code, out.getvalue())

    return call


def environment(folder: Path) -> dict[str, str]:
    """For a process in which `PACKAGE` is LiteRT."""
    package = folder / "packages" / "ai_edge_litert"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "interpreter.py").write_text(PACKAGE)
    return {**os.environ, "PYTHONPATH": str(package.parent)}
