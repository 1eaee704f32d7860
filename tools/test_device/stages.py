"""What is done with a board: one function per stage, in the order in which a user does it.

A stage returns a few words about what it saw, for the summary; it raises `StageFailedError` or
`AssertionError` for anything else than what should be.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from emulated_board import native

from test_device.boards import FRESH, Board, Phone
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
    found = on.place.json("device", "add", on.name, on.name, "--emulated")
    assert found["device"]["target"] == on.name, found["device"]
    return f"recognised: {found['because']}"


def check(on: OnBoard) -> str:
    """``device check`` shows what is there; ``--setup`` installs what is not."""
    if on.name == FRESH:
        said = on.place.tinyml("device", "check", on.name, code=4)
        assert "--setup" in said, said
        on.place.tinyml("device", "check", on.name, "--setup")
    found = on.place.json("device", "check", on.name)
    assert found["ready"], found["problems"]
    facts = found["facts"]
    versions = ", ".join(f"{name} {own}" for name, own in sorted(facts["packages"].items()))
    setup = ", by --setup" if on.name == FRESH else ""
    return f"{facts['arch']}, Python {facts['python']}, {versions}{setup}"


def bench(on: OnBoard, precision: str) -> str:
    """``bench --device`` compares outputs first, then times; its times mean nothing here."""
    folder = on.bundles[precision]
    found = on.place.json("bench", folder, "--device", on.name, *QUICK)
    runtimes = {own["runtime"] for own in found["measurements"]}
    assert runtimes == {"litert", "onnxruntime"}, found["skipped"]
    assert all(own["conditions"]["device"] == on.name for own in found["measurements"])
    assert {own["label"] for own in found["measurements"]} == {"emulated"}
    return f"{len(found['measurements'])} files and parts, {' and '.join(sorted(runtimes))}"


def verify(on: OnBoard, precision: str) -> str:
    """``verify --device``: both files compute there what PyTorch computed."""
    said = on.place.tinyml("verify", on.bundles[precision], "--device", on.name)
    assert "litert" in said, said
    assert "onnxruntime" in said, said
    return "litert and onnxruntime within tolerance"


def predict(on: OnBoard, precision: str) -> str:
    """``predict --device`` in both runtimes, next to this machine's probabilities."""
    folder, sound = on.bundles[precision], recording(on.place)
    here = on.place.json("predict", folder, sound)
    largest = 0.0
    for runtime in ("litert", "onnxruntime"):
        words = ("predict", folder, sound, "--device", on.name, "--runtime", runtime)
        pairs = zip(_values(on.place.json(*words)), _values(here), strict=True)
        largest = max(largest, *(abs(there - own) for there, own in pairs))
    assert largest <= LARGEST_DIFFERENCE, largest
    return f"probabilities of both runtimes within {largest:.1g} of those here"


def _values(found: Any) -> list[float]:
    """The probabilities of each file, in the order of its labels."""
    return [p for own in found for _, p in sorted(own["probabilities"].items())]


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


def install(on: OnBoard) -> str:
    """``device install`` twice, ``list`` and ``rollback``."""
    for folder in on.bundles.values():
        on.place.tinyml("device", "install", folder, on.name, "--as", "demo")
    shown = on.place.tinyml("device", "list", on.name)
    assert "demo" in shown, shown
    if len(on.bundles) < 2:
        return "installed"
    on.place.tinyml("device", "rollback", "demo", on.name)
    return "two versions, rolled back to the first"


def left_over(on: OnBoard) -> str:
    """No process of ours runs there any more, and no folder of a link is left."""
    shown = on.board.machine.run("ps axww -o stat=,args=; ls -A ~/.cache/tinyml").stdout
    lines = [line.split(None, 1) for line in shown.splitlines()]
    own = [words[1] for words in lines if len(words) == 2 and not words[0].startswith("Z")]
    found = [text for text in own if "sleep infinity" not in text and "ps axww" not in text]
    assert not found, found
    assert "tinyml-link" not in shown, shown
    return "no process and no folder of a link"


def recording(place: Workplace) -> Path:
    """Nine seconds of beats at 4,000 Hz."""
    path = place.folder / "recording.wav"
    if not path.exists():
        time = np.arange(9 * RATE_HZ) / RATE_HZ
        beats = np.sin(2 * np.pi * 60 * time) * (np.sin(2 * np.pi * 1.2 * time) > 0.9)
        noise = np.random.default_rng(0).normal(scale=0.01, size=time.shape)
        soundfile.write(path, 0.3 * beats + noise, RATE_HZ)
    return path


def tutorial(on: OnBoard) -> str:
    """Every command of the tutorial; the board has the address that it names."""
    folder = on.place.folder / "tutorial-pi"
    _start_of_tutorial(folder)
    shutil.copyfile(recording(on.place), folder / "recording.wav")
    return run_page(on.place, "tutorial-pi.md", folder, {"--strict": f"--strict {' '.join(QUICK)}"})


def phone_tutorial(on: OnPhone) -> str:
    """Every command of the tutorial, with the phone's own address."""
    folder = on.place.folder / "tutorial-android"
    _start_of_tutorial(folder)
    program = native.program("benchmark_model", "aarch64")
    shutil.copyfile(program, folder / "benchmark_model")
    own = "./benchmark_model"
    instead = {"0123456789ABCDEF": on.phone.address, own: f"{own} {' '.join(QUICK)}"}
    return run_page(on.place, "tutorial-android.md", folder, instead)


def _start_of_tutorial(folder: Path) -> None:
    """A trained model, as the first tutorial leaves it, but a small one."""
    folder.mkdir()
    shutil.copytree(trained_run(), folder / "runs" / "demo")


def phone_add(on: OnPhone) -> str:
    """``device add`` recognises the phone."""
    found = on.place.json("device", "add", on.name, on.phone.address, "--link", "adb", "--emulated")
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
    sound = recording(on.place)
    verbs = {"verify": (), "eval": (), "predict": (sound,), "listen": (sound,)}
    bundle = next(iter(on.bundles.values()))
    for verb, more in verbs.items():
        said = on.place.tinyml(verb, bundle, *more, "--device", on.name, code=4)
        assert f"tinyml {verb} is not supported on Android yet" in said, said
    return f"{', '.join(verbs)}: not supported on Android yet"


@dataclass(frozen=True, slots=True)
class Stage:
    """``run`` on a board.

    each  once for every precision
    full  in a full run alone, on the first Pi and on the phone: what a page shows of one
    """

    name: str
    run: Callable[..., str]
    each: bool = False
    full: bool = False


BOARD_STAGES = (
    Stage("device add", add),
    Stage("device check", check),
    Stage("verify", verify, each=True),
    Stage("eval", evaluate, each=True),
    Stage("predict", predict, each=True),
    Stage("bench", bench, each=True),
    Stage("listen", listen, each=True),
    Stage("device install", install),
    Stage("tutorial", tutorial, full=True),
    Stage("left there", left_over),
)
PHONE_STAGES = (
    Stage("device add", phone_add),
    Stage("device check", phone_check),
    Stage("bench", phone_bench, each=True),
    Stage("refusals", phone_refuses),
    Stage("tutorial", phone_tutorial, full=True),
)
