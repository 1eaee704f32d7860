from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from tinyml.core.device import THIS_MACHINE
from tinyml.core.errors import DeviceError, InputError, ValidationError
from tinyml.core.measurement import Label
from tinyml.core.spec import Arrays, Signature, TensorSpec
from tinyml.device.link import CommandResult
from tinyml.device.link_runtime import LinkRuntime
from tinyml.device.local import LocalLink, open_link
from tinyml.device.runner_command import push_runner
from tinyml.runtimes.ort import ONNXRUNTIME

SIGNATURE = Signature((TensorSpec("x", (4,)),), (TensorSpec("y", (4,)),))


def inputs(value: float) -> Arrays:
    return {"x": np.full(4, value, np.float32)}


@dataclass
class CountingLink:
    """A link that notes its commands, and may change a file on its way."""

    files: LocalLink
    spoils: bool = False
    commands: list[Sequence[str]] = field(default_factory=list)
    name: str = "a board"
    label: Label = "emulated"

    @property
    def python(self) -> str:
        return self.files.python

    @property
    def folder(self) -> str:
        return self.files.folder

    def command(self, command: Sequence[str]) -> list[str]:
        return self.files.command(command)

    def push(self, path: Path, name: str) -> str:
        there = self.files.push(path, name)
        if self.spoils and path.suffix == ".onnx":
            Path(there).write_bytes(path.read_bytes() + b"\x72\x00")  # an empty field more
        return there

    def pull(self, name: str, path: Path) -> None:
        self.files.pull(name, path)

    def run(self, command: Sequence[str], *, timeout_s: float) -> CommandResult:
        self.commands.append(command)
        return self.files.run(command, timeout_s=timeout_s)


@pytest.fixture
def link() -> Iterator[CountingLink]:
    with open_link(THIS_MACHINE) as opened:
        yield CountingLink(opened)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    from onnx import parser

    path = tmp_path / "relu.onnx"
    text = '<ir_version: 8, opset_import: ["": 18]> g (float[4] x) => (float[4] y) { y = Relu(x) }'
    path.write_bytes(parser.parse_model(text).SerializeToString())
    return path


def runtime(link: CountingLink, *cases: Arrays) -> LinkRuntime:
    return LinkRuntime(ONNXRUNTIME, link, push_runner(link), SIGNATURE, cases)


def test_all_cases_are_computed_by_one_process(link: CountingLink, model: Path) -> None:
    there = runtime(link, inputs(-1), inputs(2))
    assert there.version() is None
    session = there.open(model)
    assert session.run(inputs(2))["y"].tolist() == [2, 2, 2, 2]
    assert session.run(inputs(-1))["y"].tolist() == [0, 0, 0, 0]
    assert len(link.commands) == 1
    assert there.version() == ONNXRUNTIME.version()


def test_other_inputs_take_a_process_of_their_own(link: CountingLink, model: Path) -> None:
    session = runtime(link).open(model)
    assert session.run(inputs(3))["y"].tolist() == [3, 3, 3, 3]
    assert "--also" not in link.commands[0]


def test_inputs_that_the_file_does_not_take_are_named_with_file_and_board(
    link: CountingLink, model: Path
) -> None:
    session = runtime(link, inputs(1), {"z": np.zeros(4, np.float32)}).open(model)
    with pytest.raises(DeviceError, match=r"relu.onnx, onnxruntime on a board: .*'z'"):
        session.run(inputs(1))


def test_a_file_that_changed_on_its_way_is_not_judged(link: CountingLink, model: Path) -> None:
    link.spoils = True
    with pytest.raises(ValidationError, match=r"relu.onnx is another file on a board than here"):
        runtime(link, inputs(1)).open(model).run(inputs(1))


def test_it_shows_outputs_alone(link: CountingLink, model: Path) -> None:
    there = runtime(link)
    assert not there.reads_inside
    with pytest.raises(InputError, match="shows outputs alone"):
        there.reader(model, ["y"])
