"""All boards at once: one throttles meanwhile, and the connection to another is lost."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from test_device.boards import Board
from test_device.workplace import TIMEOUT_S, Workplace
from tinyml.core.process import tied

# Before a process; after it, throttled; from then on only "since boot".
THROTTLES = ("0x0", "0x40004", "0x40000")
LOST_S = 240.0
REPEATS = 2


def at_once(place: Workplace, boards: Sequence[Board], bundle: Path) -> str:
    """``bench FILE --device a,b,c``: what the others measured is written, nothing is lost."""
    steady, hot, lost = boards
    file = place.folder / "together.tflite"
    file.write_bytes(next(bundle.glob("*.tflite")).read_bytes())
    names = ",".join(board.name for board in boards)
    words = ["bench", str(file), "--device", names, "--quick", "--repeats", f"{REPEATS}"]
    hot.throttle(*THROTTLES)
    command = [sys.executable, "-m", "tinyml.cli.main", *words]
    with subprocess.Popen(
        tied(command),
        cwd=place.folder,
        env=place.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        _cut_when_it_times(lost, process)
        said, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 4, f"exit {process.returncode}, not 4: {said}"
    assert f"connection to {lost.name} was lost" in said, said
    assert not (place.folder / f"{file.name}.{lost.name}.bench.json").exists(), said
    found = {own.name: _measured(place, file, own) for own in (steady, hot)}
    reasons = [own["reason"] for own in found[hot.name]["discarded"]]
    assert reasons == ["the firmware reports throttled"], reasons
    assert len(found[hot.name]["processes"]) == REPEATS, "the throttled process was not repeated"
    kept = ", ".join(f"{name} {_count(own)}" for name, own in found.items())
    return f"{lost.name} lost in mid-run; {kept}; {hot.name}: {reasons[0]}"


def _cut_when_it_times(board: Board, process: subprocess.Popen[str]) -> None:
    """End the ssh server of ``board`` as soon as a model is timed there."""
    ends = time.monotonic() + LOST_S
    while process.poll() is None and time.monotonic() < ends:
        if "--min-time" in board.machine.run("ps axww").stdout:
            board.server.kill()
            return
        time.sleep(0.5)


def _measured(place: Workplace, file: Path, board: Board) -> Mapping[str, list[dict[str, str]]]:
    path = place.folder / f"{file.name}.{board.name}.bench.json"
    (measurement,) = json.loads(path.read_text(encoding="utf-8"))["measurements"]
    found: Mapping[str, list[dict[str, str]]] = measurement
    return found


def _count(own: Mapping[str, list[dict[str, str]]]) -> str:
    return f"{len(own['processes'])} valid and {len(own['discarded'])} discarded"
