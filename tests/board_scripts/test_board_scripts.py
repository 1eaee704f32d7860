"""The scripts that are copied into bundles: what they import, and what Python they need."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tinyml import board_scripts
from tinyml.board_scripts import run
from tinyml.core.errors import DataError
from tinyml.core.recording_processor import RecordingProcessor
from tinyml.core.typed_json import to_json
from tinyml.models.data.audio import read_audio
from tinyml.models.data.recordings import Recording
from tinyml.models.training.predict import cut_windows

RUNTIMES = {"ai_edge_litert", "tflite_runtime", "onnxruntime"}
STANDARD = {"hashlib", "json", "os", "pathlib", "sys", "typing"}
# Of listen.py and what it loads: threads, signals, and the programs that record.
STANDARD |= {"__future__", "argparse", "collections", "fcntl", "importlib", "io", "shlex", "signal"}
STANDARD |= {"stat", "subprocess", "termios", "threading", "time"}
SCRIPTS = [board_scripts.RUN, board_scripts.REPRO, *board_scripts.LISTEN]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda p: p.name)
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
    assert {name.name.partition(".")[0] for name in top} <= STANDARD | {"numpy"}


def test_the_start_of_a_program_can_be_read_by_a_python_that_is_too_old_for_it() -> None:
    text = board_scripts.START.read_text(encoding="ascii")
    tree = ast.parse(text, feature_version=(3, 6))
    imported = {alias.name for n in tree.body if isinstance(n, ast.Import) for alias in n.names}
    assert imported == {"hashlib", "runpy", "sys"}
    assert not [node for node in tree.body if isinstance(node, ast.ImportFrom)]


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
    from tinyml.board_scripts.repro import in_order

    want = np.arange(24).reshape(1, 2, 3, 4)
    stored = want[0].transpose(1, 2, 0)
    assert (in_order(stored, {"order": [-1, 2, 0, 1]}, want) == want).all()
    assert in_order(want, {"order": None}, want) is want


HEART = RecordingProcessor(("murmur", "none"), window=400, hop=200, rate_hz=1000, min_rate_hz=500)
TONE = (0.4 * np.sin(np.arange(1000) / 5)).astype(np.float32)


def _windows(path: Path) -> np.ndarray:
    """As `tinyml predict` cuts them."""
    return cut_windows(HEART, Recording(str(path), "", 0, lambda: read_audio(path)))


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize(("kind", "channels"), [("WAV", 1), ("WAVEX", 2)])
def test_run_py_reads_the_recordings_that_predict_reads(
    subtype: str, kind: str, channels: int, tmp_path: Path
) -> None:
    path = tmp_path / "a.wav"
    samples = np.stack([TONE, TONE[::-1]][:channels], axis=1)
    soundfile.write(path, samples, 1000, subtype=subtype, format=kind)
    got = run.read_recording(str(path), to_json(HEART))
    np.testing.assert_array_equal(got[:400], _windows(path)[0])


REFUSED = {
    "silent": (np.zeros(1000), 1000),
    "channels": (np.stack([TONE] * 3, axis=1), 1000),
    "not finite": (np.where(np.arange(1000) == 7, np.nan, TONE), 1000),
    "no samples": (np.zeros(0), 1000),
    "too short": (TONE[:399], 1000),
    "too slow": (TONE, 400),
}


def _both_refuse(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DataError) as predicted:
        _windows(path)
    with pytest.raises(SystemExit) as ended:
        run.read_recording(str(path), to_json(HEART))
    assert ended.value.code == predicted.value.exit_code
    assert capsys.readouterr().err.startswith(f"error: {predicted.value.message}")


@pytest.mark.parametrize("what", REFUSED)
def test_run_py_refuses_the_recordings_that_predict_refuses(
    what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.wav"
    samples, rate_hz = REFUSED[what]
    soundfile.write(path, samples, rate_hz, subtype="FLOAT")
    _both_refuse(path, capsys)


@pytest.mark.parametrize("content", [b"", b"hello, this is text", b"cut", b"no data"])
def test_run_py_refuses_files_that_are_no_whole_audio(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, TONE, 1000)
    whole = path.read_bytes()
    path.write_bytes({b"cut": whole[:-100], b"no data": whole[:36]}.get(content, content))
    _both_refuse(path, capsys)
