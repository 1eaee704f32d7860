"""What is done with a board: one function per stage, in the order in which a user does it.

A stage returns a few words about what it saw, for the summary; it raises `StageFailedError` or
`AssertionError` for anything else than what should be.
"""

from __future__ import annotations

import json
import shutil
import wave
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from emulated_board import native

from test_device.boards import Board, Phone
from test_device.bundles import trained_run
from test_device.tutorials import run_page
from test_device.workplace import Workplace

RATE_HZ = 4000
# Between probabilities of int8 kernels of different processors.
LARGEST_DIFFERENCE = 0.05
QUICK = ("--quick", "--repeats", "1")


@dataclass(frozen=True, slots=True)
class OnBoard:
    """A board with its bundles: precision -> folder."""

    place: Workplace
    board: Board
    bundles: Mapping[str, Path]

    @property
    def name(self) -> str:
        return self.board.name


@dataclass(frozen=True, slots=True)
class OnPhone:
    """The phone with its bundles."""

    place: Workplace
    phone: Phone
    bundles: Mapping[str, Path]

    @property
    def name(self) -> str:
        return self.phone.name


def add(on: OnBoard) -> str:
    """``device add`` recognises the board."""
    found = on.place.json("device", "add", on.name, on.name)
    assert found["device"]["target"] == on.name, found["device"]
    return f"recognised: {found['because']}"


def check(on: OnBoard) -> str:
    """``device check`` shows what is there and that bundles run."""
    found = on.place.json("device", "check", on.name)
    assert found["ready"], found["problems"]
    facts = found["facts"]
    versions = ", ".join(f"{name} {own}" for name, own in sorted(facts["packages"].items()))
    return f"{facts['arch']}, Python {facts['python']}, {versions}"


def bench(on: OnBoard, precision: str) -> str:
    """``bench --device`` compares outputs first, then times; its times mean nothing here."""
    folder = on.bundles[precision]
    found = on.place.json("bench", folder, "--device", on.name, *QUICK)
    runtimes = {own["runtime"] for own in found["measurements"]}
    assert runtimes == {"litert", "onnxruntime"}, found["skipped"]
    assert all(own["conditions"]["device"] == on.name for own in found["measurements"])
    return f"{len(found['measurements'])} files and parts, {' and '.join(sorted(runtimes))}"


def verify(on: OnBoard, precision: str) -> str:
    """``verify --device``: the outputs there are those of PyTorch."""
    on.place.tinyml("verify", on.bundles[precision], "--device", on.name)
    return "outputs within tolerance"


def evaluate(on: OnBoard, precision: str) -> str:
    """``eval --device``: the predictions there are those here."""
    found = on.place.json("eval", on.bundles[precision], "--device", on.name)
    compared = found["compared"]
    largest = compared["largest_probability_error"]
    assert largest <= LARGEST_DIFFERENCE, compared
    # One that hangs on less than that may be another one.
    assert all(own["margin"] <= 2 * LARGEST_DIFFERENCE for own in compared["changed"]), compared
    cases, changed = compared["cases"], len(compared["changed"])
    return f"{cases - changed} of {cases} predictions are those here, within {largest:.1g}"


def predict(on: OnBoard, precision: str) -> str:
    """``predict --device``: the probabilities of a recording there are those here."""
    recording = on.place.folder / f"{on.name}.wav"
    with wave.open(str(recording), "wb") as file:
        file.setparams((1, 2, RATE_HZ, 0, "NONE", ""))
        file.writeframes(_sound())
    (there,), (here,) = (
        on.place.json("predict", on.bundles[precision], recording, *more)
        for more in (("--device", on.name), ())
    )
    pairs = [(p, there["probabilities"][label]) for label, p in here["probabilities"].items()]
    largest = max(abs(p - q) for p, q in pairs)
    assert largest <= LARGEST_DIFFERENCE, (there, here)
    return f"probabilities within {largest:.1g} of those here"


def listen(on: OnBoard, precision: str) -> str:
    """``listen --device``: sound through the link; the decisions there are those here."""
    folder, sound = on.bundles[precision], _sound()
    there, here = (
        _decisions(on.place.tinyml("listen", folder, "--json", *more, stdin=sound))
        for more in (("--device", on.name), ())
    )
    assert [own["time_s"] for own in there] == [6.0, 6.5, 7.0], there
    pairs = [
        (own["probabilities"][label], p)
        for own, other in zip(there, here, strict=True)
        for label, p in other["probabilities"].items()
    ]
    largest = max(abs(p - q) for p, q in pairs)
    assert largest <= LARGEST_DIFFERENCE, (there, here)
    return f"{len(there)} decisions, probabilities within {largest:.1g} of those here"


def _sound() -> bytes:
    """Seven seconds of noise as a recorder would write it."""
    noise = np.random.default_rng(0).standard_normal(7 * RATE_HZ)
    return (0.1 * 2**15 * noise).astype("<i2").tobytes()


def _decisions(text: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return [line for line in lines if line["kind"] == "decision"]


def phone_tutorial(on: OnPhone) -> str:
    """Every command of the tutorial, with the phone's own address."""
    folder = on.place.folder / "tutorial-android"
    _start_of_tutorial(folder)
    program = native.program("benchmark_model", "aarch64")
    shutil.copyfile(program, folder / "benchmark_model")
    return run_page(on.place, "tutorial-android.md", folder, {"0123456789ABCDEF": on.phone.address})


def _start_of_tutorial(folder: Path) -> None:
    """A trained model, as the first tutorial leaves it, but a small one."""
    folder.mkdir()
    shutil.copytree(trained_run(), folder / "runs" / "demo")


def phone_add(on: OnPhone) -> str:
    """``device add`` recognises the phone."""
    found = on.place.json("device", "add", on.name, on.phone.address, "--link", "adb")
    assert found["device"]["target"] == "android", found["device"]
    return f"recognised: {found['because']}"


def phone_check(on: OnPhone) -> str:
    """``device check`` shows Android, and that there is no Python."""
    found = on.place.json("device", "check", on.name)
    assert found["ready"], found["problems"]
    return str(found["facts"]["system"])


def phone_bench(on: OnPhone, precision: str) -> str:
    """``bench`` through the stand-in of LiteRT's program."""
    program = native.program("benchmark_model", "aarch64")
    found = on.place.json(
        *("bench", on.bundles[precision], "--device", on.name, "--benchmark-model", program),
        *QUICK,
    )
    assert found["averages"], found
    assert (on.phone.state / "fixed").read_text() == "false\n"
    return f"{len(found['averages'])} averages of benchmark_model's stand-in, settings restored"


def phone_refuses(on: OnPhone) -> str:
    """What needs Python is refused with exit code 4."""
    recording = on.place.folder / "recording.wav"
    verbs = {"verify": (), "eval": (), "predict": (recording,), "listen": (recording,)}
    for verb, more in verbs.items():
        said = on.place.tinyml(verb, on.bundles["fp32"], *more, "--device", on.name, code=4)
        assert f"tinyml {verb} is not supported on Android yet" in said, said
    return f"{', '.join(verbs)}: not supported on Android yet"


# (name, stage, once for each precision)
BOARD_STAGES: tuple[tuple[str, Callable[..., str], bool], ...] = (
    ("device add", add, False),
    ("device check", check, False),
    ("verify", verify, True),
    ("eval", evaluate, True),
    ("predict", predict, True),
    ("listen", listen, True),
    ("bench", bench, True),
)
PHONE_STAGES: tuple[tuple[str, Callable[..., str], bool], ...] = (
    ("device add", phone_add, False),
    ("device check", phone_check, False),
    ("bench", phone_bench, True),
    ("refusals", phone_refuses, False),
    ("tutorial", phone_tutorial, False),
)
