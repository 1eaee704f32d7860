"""``verify``, ``predict`` and ``eval`` on a board: this machine, reached as one."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import stand_in
from boards import ssh_server
from command_line import Done

from tinyml.core import bundle as bundles
from tinyml.core.device import Device
from tinyml.core.files import CACHE_ENVIRONMENT
from tinyml.pipeline.devices.inventory import save_device
from tinyml.pipeline.evaluate_on_device import ChangedPrediction, changed_predictions

Cli = Callable[..., Done]
BOARD = Device(name="board", link="emulated", target="rpi", python=sys.executable)
DOUBLED = """
import numpy
plain = numpy.ascontiguousarray
numpy.ascontiguousarray = lambda a: plain(2 * a if a.dtype.kind == "f" else a)
"""


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An inventory and a cache of its own."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv(CACHE_ENVIRONMENT, str(tmp_path / "cache"))


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    path = tmp_path / "a.wav"
    soundfile.write(path, 0.1 * np.sin(np.arange(30_000) / 5), 4000)
    return path


def kept_files() -> list[Path]:
    from tinyml.core.files import cache_folder

    return sorted(cache_folder().glob("outputs/*"))


def test_every_board_has_a_verdict_for_each_file(
    small_bundle: Path, tmp_path: Path, cli: Cli
) -> None:
    hides = stand_in.hiding("onnxruntime")
    less = stand_in.python_after(tmp_path / "less", hides)
    save_device(BOARD)
    save_device(replace(BOARD, name="less", python=less))
    save_device(replace(BOARD, name="other", target="android"))
    done = cli("verify", small_bundle, "--device", "board,less,other", "--json")
    assert done.returncode == 4
    assert "other" in done.stderr
    assert "was made for rpi" in done.stderr
    board, less_there, other = json.loads(done.stdout)["devices"]
    files = {model.path for model in bundles.read(small_bundle).models}
    assert {file["path"] for file in board["files"]} == files
    assert {file["verdict"] for file in board["files"]} == {"pass"}
    assert all(file["rows"] for file in board["files"])
    verdicts = {file["runtime"]: file for file in less_there["files"]}
    assert verdicts["litert"]["verdict"] == "pass"
    assert verdicts["onnxruntime"]["verdict"] == "not installed"
    assert "tinyml device check less --setup" in verdicts["onnxruntime"]["hint"]
    assert other["files"] == []
    assert "was made for rpi" in other["error"]


def test_a_table_and_what_is_missing(small_bundle: Path, tmp_path: Path, cli: Cli) -> None:
    hides = stand_in.hiding("onnxruntime")
    save_device(replace(BOARD, python=stand_in.python_after(tmp_path / "less", hides)))
    done = cli("verify", small_bundle, "--device", "board")
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert any(row[1:2] == ["litert"] and "pass" in row for row in rows)
    assert "onnxruntime is not installed there" in done.stdout.replace("\n  ", " ")
    assert "tinyml device check board --setup" in done.stdout.replace("\n  ", " ")


def test_a_board_without_any_runtime_fails(small_bundle: Path, tmp_path: Path, cli: Cli) -> None:
    hides = stand_in.hiding("onnxruntime", "ai_edge_litert")
    save_device(replace(BOARD, python=stand_in.python_after(tmp_path / "none", hides)))
    for verb in ("verify", "eval"):
        done = cli(verb, small_bundle, "--device", "board")
        assert done.returncode == 4
        assert "is not installed there" in done.stderr
        assert "hint: tinyml device check board --setup" in done.stderr


def test_wrong_outputs_are_exit_5(small_bundle: Path, tmp_path: Path, cli: Cli) -> None:
    save_device(replace(BOARD, python=stand_in.python_after(tmp_path / "wrong", DOUBLED)))
    done = cli("verify", small_bundle, "--device", "board")
    assert done.returncode == 5
    assert "tflite on board: litert+xnnpack differs from PyTorch" in done.stderr
    assert "fail" in done.stdout


def test_predictions_are_those_of_this_machine(small_bundle: Path, wav: Path, cli: Cli) -> None:
    save_device(BOARD)
    here = cli("predict", small_bundle, wav, "--json")
    there = cli("predict", small_bundle, wav, "--json", "--device", "board")
    assert there.returncode == 0, there.stderr
    assert json.loads(there.stdout) == json.loads(here.stdout)


def test_an_evaluation_over_a_lost_connection_continues(
    small_bundle: Path, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = json.loads(cli("eval", small_bundle, "--json").stdout)
    (tmp_path / "ssh").mkdir()
    with ssh_server(tmp_path / "ssh") as server:
        kill = f"os.kill({server.process.pid}, signal.SIGKILL); time.sleep(60)"
        python = stand_in.at_request(tmp_path / "python", 3, kill)
        save_device(replace(server.use(monkeypatch), target="rpi", python=python))
        lost = cli("eval", small_bundle, "--device", "board")
    assert lost.returncode == 4, lost.stderr
    assert "the connection to board was lost" in lost.stderr
    assert "3 outputs are kept: run the same command to continue" in lost.stderr
    assert len(kept_files()) == 1
    (tmp_path / "again").mkdir()
    with ssh_server(tmp_path / "again") as server:
        server.use(monkeypatch)
        found = cli("eval", small_bundle, "--device", "board", "--json")
    assert found.returncode == 0, found.stderr
    assert "continuing: 3 outputs are kept from a run that was stopped" in found.stderr
    there: dict[str, Any] = json.loads(found.stdout)
    assert there["metrics"] == here["metrics"]
    assert there["recordings"] == here["recordings"]
    assert there["compared"]["changed"] == []
    assert there["compared"]["largest_probability_error"] == 0
    assert there["compared"]["cases"] == len(here["recordings"])
    assert kept_files() == []


def test_a_killed_process_is_resumed_and_another_bundle_starts_again(
    bundle_copy: Path, tmp_path: Path, cli: Cli
) -> None:
    python = stand_in.at_request(tmp_path / "python", 2, "os.kill(os.getpid(), signal.SIGKILL)")
    save_device(replace(BOARD, python=python))
    died = cli("eval", bundle_copy, "--device", "board")
    assert died.returncode == 4
    assert "was killed by signal 9 (SIGKILL)" in died.stderr
    assert "2 outputs are kept" in died.stderr
    manifest = bundle_copy / bundles.MANIFEST
    manifest.write_text(manifest.read_text() + "\n")  # the same, but for its digest
    again = cli("eval", bundle_copy, "--device", "board")
    assert again.returncode == 0, again.stderr
    assert "the bundle changed since the run that was stopped: it starts again" in again.stderr
    assert "board, emulated: " in again.stdout
    assert "predictions are those of litert" in again.stdout


@pytest.mark.parametrize("verb", ["verify", "predict", "eval"])
def test_a_phone_is_refused(small_bundle: Path, wav: Path, verb: str, cli: Cli) -> None:
    save_device(Device(name="pixel", link="adb", address="123", target="android"))
    files = [wav] if verb == "predict" else []
    done = cli(verb, small_bundle, *files, "--device", "pixel")
    assert done.returncode == 4
    assert f"tinyml {verb} is not supported on Android yet" in done.stderr


def test_changed_predictions_are_listed(small_bundle: Path) -> None:
    processor = bundles.read(small_bundle).processor
    assert processor is not None
    first, second, *_ = processor.labels
    sure = np.zeros((len(processor.labels),) * 2, np.float32) + 0.05
    np.fill_diagonal(sure, 0.9)
    here = {"a": sure[0], "b": sure[0], "c": sure[1]}
    there = {"a": sure[0], "b": sure[1], "c": sure[1]}
    found = changed_predictions(processor, here, there)
    margin = processor.margin(sure[0])
    assert found == (ChangedPrediction("b", first, second, margin),)
