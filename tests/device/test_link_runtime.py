"""A model that a process of the runner has loaded, and what becomes of one that fails."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import stand_in
from processes import assert_gone
from relu_file import SIGNATURE

from tinyml.core.device import THIS_MACHINE
from tinyml.core.errors import DeviceError, InputError, ValidationError
from tinyml.core.interruption import watching
from tinyml.core.measurement import Label
from tinyml.core.spec import Arrays, TensorSpec
from tinyml.device import served_model
from tinyml.device.link import CommandResult
from tinyml.device.link_runtime import LinkRuntime, LinkSession
from tinyml.device.local import LocalLink, open_link
from tinyml.device.program import Program
from tinyml.device.runner_command import push_runner
from tinyml.runtimes.ort import ONNXRUNTIME


def inputs(value: float) -> Arrays:
    return {"x": np.full(4, value, np.float32)}


@dataclass
class BoardLink:
    """This machine as a board that notes its commands, and may change a file on its way."""

    files: LocalLink
    spoils: str = ""
    commands: list[Sequence[str]] = field(default_factory=list)
    name: str = "a board"
    label: Label = "emulated"
    python: str = sys.executable

    @property
    def folder(self) -> str:
        return self.files.folder

    def command(self, command: Sequence[str]) -> list[str]:
        self.commands.append(command)
        return self.files.command(command)

    def push(self, path: Path, name: str) -> str:
        there = self.files.push(path, name)
        if self.spoils and path.suffix == self.spoils:
            Path(there).write_bytes(path.read_bytes() + b"\x72\x00")  # an empty field more
        return there

    def pull(self, name: str, path: Path) -> None:
        self.files.pull(name, path)

    def run(self, command: Sequence[str], *, timeout_s: float) -> CommandResult:
        return self.files.run(command, timeout_s=timeout_s)


@pytest.fixture
def link() -> Iterator[BoardLink]:
    with open_link(THIS_MACHINE) as opened:
        yield BoardLink(opened)


def runtime(link: BoardLink, runner: Program | None = None) -> LinkRuntime:
    return LinkRuntime(ONNXRUNTIME, link, runner or push_runner(link), SIGNATURE)


@pytest.fixture
def session(link: BoardLink, relu: Path) -> Iterator[LinkSession]:
    with closing(runtime(link)) as there:
        yield there.open(relu)


def test_one_process_computes_until_it_is_closed(link: BoardLink, relu: Path) -> None:
    with closing(runtime(link)) as there:
        assert there.version() is None
        session = there.open(relu)
        for value, want in ((2, 2), (-1, 0), (3, 3)):
            assert session.run(inputs(value))["y"].tolist() == [want] * 4
        assert there.version() == ONNXRUNTIME.version()
    assert len(link.commands) == 1
    assert_gone(session.model.process.pid)


def test_inputs_that_the_file_does_not_take_are_named_and_the_next_are_computed(
    session: LinkSession,
) -> None:
    with pytest.raises(DeviceError, match=r"relu.onnx, onnxruntime on a board: .*'z'"):
        session.run({"z": np.zeros(4, np.float32)})
    assert session.run(inputs(3))["y"].tolist() == [3, 3, 3, 3]


def test_outputs_of_another_shape_are_refused(session: LinkSession) -> None:
    other = replace(SIGNATURE, outputs=(TensorSpec("y", (5,)),))
    with pytest.raises(DeviceError, match=r"the outputs are .*\(4,\).*, not .*\(5,\)"):
        replace(session, signature=other).run(inputs(1))


def test_a_file_that_changed_on_its_way_is_not_judged(link: BoardLink, relu: Path) -> None:
    link.spoils = ".onnx"
    with (
        closing(runtime(link)) as there,
        pytest.raises(ValidationError, match=r"relu.onnx is another file on a board than here"),
    ):
        there.open(relu)


def test_it_shows_outputs_alone(link: BoardLink, relu: Path) -> None:
    there = runtime(link)
    assert not there.reads_inside
    with pytest.raises(InputError, match="shows outputs alone"):
        there.reader(relu, ["y"])


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (
            "echo Welcome; exec sleep 60",
            "what the board sent is not an output: it begins with 'Welcome",
        ),
        ("exec yes", r"what the board sent is not an output: it begins with 'y\\ny\\n"),
        ("yes >&2 & sleep 0.3; kill $!; exit 3", "the process ended 3: y"),
        ("true", "the process ended before it answered"),
        ("exec >&-; exec sleep 60", "the process closed its output and did not end"),
        ("kill -4 $$", r"was killed by signal 4 \(SIGILL\)"),
        ("exit 132", r"was killed by signal 4 \(SIGILL\)"),
        ("echo sh: python3: not found >&2; exit 127", "Python cannot be started there: sh: python"),
    ],
)
def test_whatever_else_starts_there_is_one_line(
    link: BoardLink, relu: Path, script: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served_model, "END_S", 0.5)
    link.python = stand_in.shell(link.files.path / "python", script)
    with (
        closing(runtime(link)) as there,
        pytest.raises(DeviceError, match=rf"relu.onnx, onnxruntime on a board: .*{words}"),
    ):
        there.open(relu)


def test_numpy_that_is_not_there_is_named_with_the_command_that_installs_it(
    link: BoardLink, relu: Path
) -> None:
    hides = stand_in.hiding("numpy")
    link.python = stand_in.python_after(link.files.path / "python", hides)
    with (
        closing(runtime(link)) as there,
        pytest.raises(DeviceError, match="No module named 'numpy'") as caught,
    ):
        there.open(relu)
    assert "tinyml device check a board --setup" in caught.value.hint


def test_a_thread_that_waits_for_outputs_can_be_interrupted(link: BoardLink, relu: Path) -> None:
    link.python = stand_in.shell(link.files.path / "python", "exec sleep 600")
    stop = threading.Event()
    stop.set()
    with closing(runtime(link)) as there, watching(stop), pytest.raises(KeyboardInterrupt):
        there.open(relu)
