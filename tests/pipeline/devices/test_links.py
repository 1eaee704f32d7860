"""A link is its own file and a row of the registry: every caller gets it from the device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from onnx import parser
from own_link import use_link
from relu_file import TEXT, relu_file
from short_timing import short

from tinyml.core.device import Device
from tinyml.core.errors import UsageError
from tinyml.core.events import silent
from tinyml.device.local import LocalLink
from tinyml.pipeline.bench import bench
from tinyml.pipeline.compare import compare
from tinyml.pipeline.devices.links import open_link, this_machine
from tinyml.pipeline.inspect import inspect


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return relu_file(tmp_path)


@pytest.fixture
def cable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Device:
    """A board that is reached over a link which only this test knows."""

    @contextmanager
    def open_cable(device: Device) -> Iterator[LocalLink]:
        folder = tmp_path / "board"
        folder.mkdir(exist_ok=True)
        yield LocalLink(folder, name=device.name, label="device")

    use_link(monkeypatch, "cable", open_cable)
    monkeypatch.setenv("TINYML_LOCK", str(tmp_path / "lock"))
    monkeypatch.setenv("TINYML_CPUS", str(tmp_path / "cpus"))
    return Device(name="Board 1", link="cable")


@pytest.mark.usefixtures("quiet_machine", "without_optional_engines")
def test_a_new_link_is_a_file_and_a_row(model: Path, cable: Device, tmp_path: Path) -> None:
    out = tmp_path / "b.json"
    found = bench(model, timing=short(1, 2, device=cable), out=out, report=silent)
    assert found.label == found.report.label == "device"
    assert found.measurements[0].conditions.device == "Board 1"
    assert sorted(p.name for p in (tmp_path / "board").iterdir())[-1] == "runner.zip"
    (pair,) = compare(model, model, short(5, 5, device=cable), silent).latency
    assert pair.a is not None
    assert pair.a.label == "device"


def test_this_machine_is_a_target_like_others() -> None:
    with open_link() as link:
        assert (link.name, link.label) == ("this machine", "host")
        assert link.run([link.python, "-c", "print(1)"], timeout_s=60).stdout == "1\n"


def test_a_board_is_not_this_machine() -> None:
    with pytest.raises(UsageError, match="Raspberry Pi 5 is not this machine"):
        this_machine("rpi5")


def test_a_file_is_inspected_for_a_target_of_the_users(model: Path, tmp_path: Path) -> None:
    boards = {"small": 1, "large": 64}
    for name, memory_mb in boards.items():
        (tmp_path / f"{name}.toml").write_text(
            f'board = "b"\narch = "aarch64"\ncpu = "c"\nmemory_mb = {memory_mb}\n'
            '[systems.s]\nruntimes = { onnxruntime = "1.19.2" }\n'
        )
    model.write_bytes(parser.parse_model(TEXT.replace("[4]", "[1,400000]")).SerializeToString())
    found = {n: inspect(model, str(tmp_path / f"{n}.toml"))["lint"] for n in boards}
    (finding,) = found["small"]
    assert finding["rule"] == "large_activations"
    assert "small has 1 MiB" in finding["cost"]
    assert found["large"] == []
